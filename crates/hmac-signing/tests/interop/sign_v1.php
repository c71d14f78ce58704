<?php
// Signs requests as portcullis v1: a JSON list of them on stdin, their headers on stdout.

function sign($secret, $key_id, $audience, $method, $authority, $path, $query, $content_type, $body, $timestamp, $nonce) {
    $digest = hash('sha256', $body);
    $fields = [$audience, $method, strtolower($authority), $path === '' ? '/' : $path, $query, $content_type,
        $digest, "$timestamp", $nonce, $key_id];
    $signed = "portcullis-hmac-v1\n";
    foreach ($fields as $field) {
        $signed .= strlen($field) . ":$field\n";
    }
    $mac = hash_hmac('sha256', $signed, $secret);
    return ['X-Signature' => "v1=$mac", 'X-Timestamp' => "$timestamp", 'X-Nonce' => $nonce, 'X-Key-Id' => $key_id];
}

$headers = array_map(function ($r) {
    return sign(hex2bin($r['secret']), $r['key_id'], $r['audience'], $r['method'], $r['authority'], $r['path'],
        $r['query'], $r['content_type'], base64_decode($r['body']), $r['timestamp'], $r['nonce']);
}, json_decode(file_get_contents('php://stdin'), true));
echo json_encode($headers), "\n";
