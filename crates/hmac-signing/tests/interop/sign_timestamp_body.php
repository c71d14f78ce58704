<?php
// Signs bodies as timestamp "." body: a JSON list of requests on stdin, their headers on stdout.

function sign($secret, $key_id, $body, $timestamp) {
    $mac = hash_hmac('sha256', "$timestamp.$body", $secret);
    return ['X-Signature' => "sha256=$mac", 'X-Timestamp' => "$timestamp", 'X-Key-Id' => $key_id];
}

$headers = array_map(function ($r) {
    return sign(hex2bin($r['secret']), $r['key_id'], base64_decode($r['body']), $r['timestamp']);
}, json_decode(file_get_contents('php://stdin'), true));
echo json_encode($headers), "\n";
