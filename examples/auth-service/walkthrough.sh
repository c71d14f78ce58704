#!/usr/bin/env bash
# The story of the gate, told with curl, openssl and oathtool against a service on its first start.
#
#   walkthrough.sh [URL] [ONE-TIME-PASSWORD] [ROOT-KEY-FILE]
#
# URL is http://127.0.0.1:8080 unless given. The one-time password is what the service printed on
# its first start (or PORTCULLIS_ADMIN_PASSWORD). The root key file, ./data.key unless given, is used
# to sign one token whose time is over, so that nobody has to wait an hour for it.
# With the service's own limits (ten logins a minute) the story waits for about three minutes.
set -euo pipefail

url=${1:-http://127.0.0.1:8080}
url=${url%/}
one_time=${2:-${PORTCULLIS_ADMIN_PASSWORD:-}}
root_key=${3:-./data.key}
[ -n "$one_time" ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
for tool in curl openssl oathtool; do
  command -v "$tool" >/dev/null || { echo "walkthrough: $tool is not installed" >&2; exit 2; }
done
[ -r "$root_key" ] || { echo "walkthrough: no root key at $root_key: name it as the third argument" >&2; exit 2; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

say() { printf '\n## %s\n' "$*"; }
die() { printf '\nwalkthrough: %s\n' "$*" >&2; exit 1; }

# More headers for the calls that follow.
extra=()

# call METHOD PATH [TOKEN] [JSON]: prints request, status and body; leaves $status, $body, $headers.
call() {
  local method=$1 path=$2 token=${3:-} json=${4:-} line
  local arguments=(--silent --show-error --max-time 30 --request "$method"
    --dump-header "$folder/headers" --output "$folder/body" --write-out '%{http_code}')
  local with=''
  [ -z "$token" ] || { arguments+=(--header "Authorization: Bearer $token"); with='with a token '; }
  [ -z "$json" ] || arguments+=(--header 'Content-Type: application/json' --data-binary "$json")
  for line in "${extra[@]}"; do arguments+=(--header "$line"); done
  : >"$folder/body"
  status=$(curl "${arguments[@]}" "$url$path")
  body=$(cat "$folder/body")
  headers=$(tr -d '\r' <"$folder/headers")
  printf '%s %s %s%s\n' "$method" "$path" "$with" "$(hide "$json")"
  printf '  %s %s\n' "$status" "$(hide "$body")"
}

# The story shows no secret, as no log should. What is said in codes like 403_FORBIDDEN is none.
hide() {
  sed -E 's/"recovery_codes":\[[^]]*\]/"recovery_codes":[…]/; s/("(password|current_password|new_password|one_time_password|access_token|refresh_token|token|challenge|code|secret|uri|qr_png|qr_svg|pem)":")([0-9]{3}_[A-Z_]+)?([^"\\]|\\.)*/\1\3…/g; s/("code":"[0-9]{3}_[A-Z_]+)…/\1/' <<<"$1"
}

# patiently CALL...: does as it is told by Retry-After, as a client should.
patiently() {
  call "$@"
  while [ "$status" = 429 ]; do
    printf '  (waiting %s s, as Retry-After says)\n' "$(header retry-after)"
    sleep "$(header retry-after)"
    call "$@"
  done
}

# next_code: sets $code to a code that was not used yet. One for the step before, or the step after, is
# accepted too; where all of them are used it waits for the next step.
used=0
next_code() {
  local step now
  now=$(($(date +%s) / 30))
  step=$((used + 1 > now - 1 ? used + 1 : now - 1))
  while [ "$step" -gt $((now + 1)) ]; do
    printf '  (waiting for the next code)\n'
    sleep $((30 - $(date +%s) % 30))
    now=$(($(date +%s) / 30))
  done
  used=$step
  code=$(oathtool --totp -b --now "@$((step * 30))" "$secret")
}
answer() { printf '{"challenge":"%s","code":"%s"}' "$1" "$2"; }

header() { sed -n "s/^$1: //Ip" <<<"$headers" | head -1; }
# field NAME: a string or number of the last body.
field() { sed -nE "s/.*\"$1\":\"?([^\",}]*)\"?.*/\1/p" <<<"$body" | head -1; }
expect() { [ "$status" = "$1" ] || die "expected status $1, got $status: $body"; }
expect_code() { [ "$(field code)" = "$1" ] || die "expected code $1: $body"; }
credentials() { printf '{"username":"%s","password":"%s"}' "$1" "$2"; }
base64url() {  openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# hmac KEY: the hexadecimal HMAC-SHA256 of what comes in.
hmac() { openssl dgst -sha256 -mac HMAC -macopt "key:$1" -r | cut -d' ' -f1; }
# part TEXT: its length in bytes and the text, as portcullis v1 has it (docs/signing.md).
part() { printf '%s:%s\n' "$(printf '%s' "$1" | wc -c)" "$1"; }

# sign_v1 METHOD PATH JSON [TIMESTAMP]: leaves the four headers of a signed request in $extra.
sign_v1() {
  local method=$1 path=$2 json=$3 timestamp=${4:-$(date +%s)} nonce digest type=''
  [ -z "$json" ] || type=application/json
  nonce=$(openssl rand -hex 16)
  digest=$(printf '%s' "$json" | openssl dgst -sha256 -r | cut -d' ' -f1)
  extra=("X-Key-Id: $key_id" "X-Timestamp: $timestamp" "X-Nonce: $nonce" "X-Signature: v1=$({
    printf 'portcullis-hmac-v1\n'
    for text in auth-service "$method" "${url#*://}" "$path" '' "$type" "$digest" \
      "$timestamp" "$nonce" "$key_id"; do part "$text"; done
  } | hmac "$signing_secret")")
}

# sign_body JSON [TIMESTAMP]: the same for a webhook, whose timestamp and body alone are signed.
sign_body() {
  local timestamp=${2:-$(date +%s)}
  extra=("X-Key-Id: $key_id" "X-Timestamp: $timestamp"
    "X-Signature: sha256=$(printf '%s.%s' "$timestamp" "$1" | hmac "$signing_secret")")
}

# assertion ISSUER LIFE [KEY]: a token that a client signs itself, under the key that openssl made.
assertion() {
  local now signed
  now=$(date +%s)
  signed="$(printf '{"alg":"RS256","typ":"JWT"}' | base64url)"
  signed+=".$(printf '{"iss":"%s","iat":%s,"exp":%s}' "$1" "$now" $((now + $2)) | base64url)"
  printf '%s.%s' "$signed" \
    "$(printf '%s' "$signed" | openssl dgst -sha256 -sign "$folder/${3:-client}.pem" -binary | base64url)"
}

say 'A first administrator signs in with the one-time password, which opens nothing but its change'
patiently POST /v1/login '' "$(credentials admin "$one_time")"
[ "$status" = 200 ] || die 'the story begins with a first start: is this its one-time password, unused?'
first=$(field access_token)
call GET /v1/users "$first"
expect 403
expect_code 403_PASSWORD_CHANGE_REQUIRED
admin_password="a phrase of $(openssl rand -hex 12)"
patiently POST /v1/password "$first" \
  "{\"current_password\":\"$one_time\",\"new_password\":\"$admin_password\"}"
expect 204
patiently POST /v1/login '' "$(credentials admin "$admin_password")"
expect 200
admin=$(field access_token)

say 'An administrator without a second factor is sent to enrol one, and may do nothing else'
call GET /v1/users "$admin"
expect 403
expect_code 403_SECOND_FACTOR_ENROLMENT_REQUIRED
call POST /v1/second-factor/enrol "$admin" '{}'
expect 200
secret=$(field secret)
patiently POST /v1/second-factor/confirm "$admin" '{"code":"12345"}'
expect 403
next_code
patiently POST /v1/second-factor/confirm "$admin" "{\"code\":\"$code\"}"
expect 200
recovery_code=$(sed -nE 's/.*"recovery_codes":\["([^"]*)".*/\1/p' <<<"$body")
[ "$(grep -oE '[0-9A-Z]{4}(-[0-9A-Z]{4}){5}' <<<"$body" | wc -l)" = 10 ] || die 'no ten recovery codes'
call GET /v1/users "$admin"
expect 200

say 'From now on the password alone opens nothing, and a code opens once'
patiently POST /v1/login '' "$(credentials admin "$admin_password")"
expect 401
expect_code 403_FORBIDDEN
challenge=$(field challenge)
patiently POST /v1/login/second-factor '' "$(answer "$challenge" "$code")"
expect 401
refused=$body
patiently POST /v1/login/second-factor '' "$(answer "$challenge" 000000)"
expect 401
[ "$body" = "$refused" ] || die "a used code is answered differently from a wrong one: $body"
next_code
patiently POST /v1/login/second-factor '' "$(answer "$challenge" "$code")"
expect 200
call GET /v1/users "$(field access_token)"
expect 200

say 'The authenticator is lost: a recovery code opens, once'
for turn in first second; do
  patiently POST /v1/login '' "$(credentials admin "$admin_password")"
  expect 401
  patiently POST /v1/login/second-factor '' "$(answer "$(field challenge)" "$recovery_code")"
  if [ "$turn" = first ]; then expect 200; admin=$(field access_token); else expect 401; fi
done
[ "$body" = "$refused" ] || die "a used recovery code is answered differently: $body"

say 'A recovery code is not enough to change a user: step-up is asked for, and met'
call POST /v1/users "$admin" '{"username":"Alice","email":"alice@example.org","role":"user"}'
expect 401
expect_code 403_FORBIDDEN
[[ $(header www-authenticate) == *'error="insufficient_user_authentication"'*max_age=* ]] ||
  die "no challenge for step-up: $headers"
printf '  WWW-Authenticate: %s\n' "$(header www-authenticate)"
next_code
patiently POST /v1/step-up "$admin" "{\"code\":\"$code\"}"
expect 200

say 'The administrator makes a user, who takes the account over'
call POST /v1/users "$admin" '{"username":"Alice","email":"alice@example.org","role":"user"}'
expect 201
user_one_time=$(field one_time_password)
patiently POST /v1/login '' "$(credentials alice "$user_one_time")"
expect 200
password="a phrase of $(openssl rand -hex 12)"
patiently POST /v1/password "$(field access_token)" \
  "{\"current_password\":\"$user_one_time\",\"new_password\":\"$password\"}"
expect 204

say 'A client application is registered, for the address it calls from'
here='"networks":["127.0.0.0/8","::1/128"]'
call POST /v1/clients "$admin" "{\"client\":\"billing\",\"tier\":\"premium\",$here}"
expect 201

say 'It shows its API key for an access token, which the key outlives'
call POST /v1/clients/billing/keys "$admin" '{"kind":"api_key","label":"walkthrough","scopes":["echo"]}'
expect 201
api_key=$(field secret)
api_key_id=$(field id)
extra=("X-API-Key: $api_key")
call POST /v1/token
expect 200
[ "$(field expires_in)" = 3600 ] || die 'not an hour'
machine=$(field access_token)
last=${api_key: -1}
extra=("X-API-Key: ${api_key%?}$([ "$last" = a ] && echo b || echo a)")
call POST /v1/token
expect 401
expect_code 401_UNAUTHORIZED
extra=()
call POST /v1/client/echo "$machine" '{"hello":"world"}'
expect 200
call GET /v1/me "$machine"
expect 401

say 'It signs tokens itself, with an RSA key that openssl made; one serves any number of calls'
for pair in client stranger; do
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$folder/$pair.pem" 2>/dev/null
done
pem=$(openssl pkey -in "$folder/client.pem" -pubout | awk '{printf "%s\\n", $0}')
call POST /v1/clients/billing/keys "$admin" \
  "{\"kind\":\"public_key\",\"label\":\"by openssl\",\"issuer\":\"billing@example.org\",\"pem\":\"$pem\"}"
expect 201
token=$(assertion billing@example.org 3600)
for _ in 1 2; do
  call GET /v1/client/me "$token"
  expect 200
done
[ "$(field proof)" = public_key ] || die 'not by the public key'

say 'A life of two hours, another key, and an issuer whom nobody registered are refused'
call GET /v1/client/me "$(assertion billing@example.org 7200)"
expect 401
call GET /v1/client/me "$(assertion billing@example.org 3600 stranger)"
expect 401
expect_code 401_UNAUTHORIZED
call GET /v1/client/me "$(assertion nobody@example.org 3600)"
expect 403
expect_code 403_FORBIDDEN

say 'It signs whole requests under a shared secret'
call POST /v1/clients/billing/keys "$admin" '{"kind":"signing_secret","label":"requests","form":"v1"}'
expect 201
key_id=$(field id)
signing_secret=$(field secret)
order='{"amount":100}'
sign_v1 POST /v1/signed/echo "$order"
call POST /v1/signed/echo '' "$order"
expect 200
printf '%s' "$order" | openssl dgst -sha256 -r | grep -q "^$(field sha256) " || die 'another body arrived'

say 'The same request once more, a tampered body, another path and an old timestamp are refused'
call POST /v1/signed/echo '' "$order"
expect 401
expect_code 401_SIGNATURE_REPLAYED
sign_v1 POST /v1/signed/echo "$order"
call POST /v1/signed/echo '' '{"amount":999}'
expect 401
expect_code 401_UNAUTHORIZED
sign_v1 GET /v1/signed/echo ''
call GET /v1/signed/me
expect 401
expect_code 401_UNAUTHORIZED
sign_v1 POST /v1/signed/echo "$order" $(($(date +%s) - 600))
call POST /v1/signed/echo '' "$order"
expect 401
expect_code 401_SIGNATURE_UNTIMELY

say 'A call from an address that is not registered is refused before any key is looked at'
extra=()
call PUT /v1/clients/billing/networks "$admin" '{"networks":["192.0.2.0/24"]}'
expect 200
sign_v1 POST /v1/signed/echo "$order"
call POST /v1/signed/echo '' "$order"
expect 403
expect_code 403_FORBIDDEN
extra=()
call PUT /v1/clients/billing/networks "$admin" "{$here}"
expect 200

say 'The secret is rotated: both count through the grace, until that is ended'
old_secret=$signing_secret
call POST "/v1/clients/billing/keys/$key_id/rotate" "$admin" '{}'
expect 200
new_secret=$(field secret)
call POST "/v1/clients/billing/keys/$key_id/rotate" "$admin" '{}'
expect 409
for signing_secret in "$old_secret" "$new_secret"; do
  sign_v1 POST /v1/signed/echo "$order"
  call POST /v1/signed/echo '' "$order"
  expect 200
done
extra=()
call POST "/v1/clients/billing/keys/$key_id/end-grace" "$admin"
expect 204
signing_secret=$old_secret
sign_v1 POST /v1/signed/echo "$order"
call POST /v1/signed/echo '' "$order"
expect 401
signing_secret=$new_secret
sign_v1 POST /v1/signed/echo "$order"
call POST /v1/signed/echo '' "$order"
expect 200
extra=()

say 'A webhook signs its timestamp and body; its secret signs nothing else'
signing_secret=$new_secret
sign_body "$order"
call POST /v1/webhook '' "$order"
expect 401
extra=()
call POST /v1/clients/billing/keys "$admin" \
  '{"kind":"signing_secret","label":"webhook","form":"timestamp_body"}'
expect 201
key_id=$(field id)
signing_secret=$(field secret)
sign_body "$order"
call POST /v1/webhook '' "$order"
expect 200
call POST /v1/webhook '' "$order"
expect 401
expect_code 401_SIGNATURE_REPLAYED
sign_body "$order"
call POST /v1/webhook '' '{"amount":999}'
expect 401
expect_code 401_UNAUTHORIZED
sign_body "$order" $(($(date +%s) - 600))
call POST /v1/webhook '' "$order"
expect 401
expect_code 401_SIGNATURE_UNTIMELY
extra=()

say 'A key that is revoked opens nothing more, nor does a token that was given for it'
call DELETE "/v1/clients/billing/keys/$api_key_id" "$admin"
expect 204
call POST /v1/client/echo "$machine" '{"hello":"world"}'
expect 401
extra=("X-API-Key: $api_key")
call POST /v1/token
expect 401
expect_code 401_UNAUTHORIZED
extra=()
call DELETE /v1/clients/billing/keys/billing@example.org "$admin"
expect 204
call GET /v1/client/me "$token"
expect 401
call GET /v1/clients/billing "$admin"
expect 200
[ "$(grep -o '"state":"revoked"' <<<"$body" | wc -l)" = 2 ] || die 'not two revoked keys'

say 'Five wrong passwords lock the account; the right one then gets the very same answer'
for _ in 1 2 3 4 5; do
  patiently POST /v1/login '' "$(credentials alice "not the password")"
  expect 401
done
wrong=$body
patiently POST /v1/login '' "$(credentials alice "$password")"
expect 401
[ "$body" = "$wrong" ] || die "a locked account answers differently: $body"

say 'The administrator sees the lock and lifts it; the user signs in'
call GET /v1/lockouts "$admin"
expect 200
grep -q '"username":"alice"' <<<"$body" || die 'the lock is not listed'
call DELETE /v1/lockouts/alice "$admin"
expect 204
patiently POST /v1/login '' "$(credentials ' ALICE ' "$password")"
expect 200
access=$(field access_token)
refresh=$(field refresh_token)

say 'A call with the token, for another thing than it is good for, without it, and with a tampered one'
call GET /v1/me "$access"
expect 200
[ "$(field username)" = alice ] || die 'me is somebody else'
call GET /v1/users "$access"
expect 403
expect_code 403_FORBIDDEN
call GET /v1/me
expect 401
expect_code 401_UNAUTHORIZED
payload=$(cut -d. -f2 <<<"$access")
[ "${payload:9:1}" = A ] && other=B || other=A
call GET /v1/me "${access%%.*}.${payload:0:9}$other${payload:10}.${access##*.}"
expect 401
expect_code 401_UNAUTHORIZED

say 'A token whose time is over: rightly signed, an hour late'
case $((${#payload} % 4)) in 2) pad='==' ;; 3) pad='=' ;; *) pad='' ;; esac
claims=$(tr -- '-_' '+/' <<<"$payload$pad" | openssl base64 -d -A)
now=$(date +%s)
late=$(sed -E "s/\"iat\":[0-9]+/\"iat\":$((now - 7200))/; s/\"exp\":[0-9]+/\"exp\":$((now - 3600))/" <<<"$claims")
key=$(printf 'portcullis auth-service key 1:tokens' |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(tr -d '\n' <"$root_key")" -r | cut -d' ' -f1)
signed="${access%%.*}.$(printf '%s' "$late" | base64url)"
signature=$(printf '%s' "$signed" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64url)
call GET /v1/me "$signed.$signature"
expect 401
expect_code 408_TOKEN_EXPIRED
[[ $(header www-authenticate) == *'error="invalid_token"'* ]] || die "no invalid_token challenge: $headers"

say 'Another service asks whether the token holds'
call POST /v1/validate "$admin" "{\"token\":\"$access\"}"
expect 200
[ "$(field active)" = true ] || die 'a good token is said to be inactive'

say 'Refresh gives a new pair; a replay of an old refresh token ends the whole family'
call POST /v1/refresh '' "{\"refresh_token\":\"$refresh\"}"
expect 200
second=$(field refresh_token)
access=$(field access_token)
call POST /v1/refresh '' "{\"refresh_token\":\"$second\"}"
expect 200
third=$(field refresh_token)
call POST /v1/refresh '' "{\"refresh_token\":\"$refresh\"}"
expect 401
call POST /v1/refresh '' "{\"refresh_token\":\"$third\"}"
expect 401
call GET /v1/me "$access"
expect 401
call POST /v1/validate "$admin" "{\"token\":\"$access\"}"
expect 200
[ "$(field active)" = false ] || die 'a token of a revoked session is said to be active'

say 'Ten logins in a window are answered, the eleventh is not'
policy=$(call POST /v1/login '' "$(credentials nobody x)" >/dev/null; header ratelimit-policy)
window=${policy##*w=}
printf '(waiting %s s for a clean window: %s)\n' "$window" "$policy"
sleep "$window"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  call POST /v1/login '' "$(credentials nobody "not a password")"
  expect 401
done
[ "$body" = "$wrong" ] || die "an unknown user is answered differently: $body"
call POST /v1/login '' "$(credentials nobody "not a password")"
expect 429
expect_code 429_RATE_LIMITED
[ "$(header retry-after)" -ge 1 ] || die 'no Retry-After'
printf '  Retry-After: %s\n' "$(header retry-after)"

say 'All of it is in the audit log, and the log is whole'
for action in failed_login lockout unlock refresh_reuse rate_limited \
  factor_enrolled second_factor_asked recovery_code_used step_up client_registered key_created \
  key_rotated key_revoked address_list_changed client_login client_refused; do
  call GET "/v1/audit?action=$action&limit=1" "$admin"
  expect 200
  grep -q "\"action\":\"$action\"" <<<"$body" || die "no $action in the audit log"
done
call GET /v1/audit/verify "$admin"
expect 200
[ "$(field valid)" = true ] || die 'the audit log does not verify'

say 'Signed out is signed out'
call POST /v1/logout "$admin"
expect 204
call GET /v1/users "$admin"
expect 401

printf '\nThe story held.\n'
