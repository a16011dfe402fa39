#!/usr/bin/env bash
# A tour of authd with curl, from an empty directory to a forgotten password.
#
#   quickstart.sh [AUTHD]     the authd to use: the argument, else $AUTHD, else the one in $PATH
#
# Each step says what it does. If an answer is not as expected, the script prints it and fails. The database and the mail
# are made in the working directory and stay there. The server stops with the script.
set -euo pipefail

authd=${1:-${AUTHD:-authd}}
email=ann@example.org
password='three grey herons at dawn'
new_password='four white swans at dusk'
newest_password='five brown owls at night'

fail() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

step() {
    printf '\n%s\n' "$*"
}

# call METHOD PATH ACCESS_TOKEN JSON: sends a request, and sets `status` and `answer`. An empty argument is not sent. Tokens
# are passed to curl on its standard input, because every user of the machine can see arguments.
call() {
    local method=$1 path=$2 access_token=$3 json=$4 reply
    reply=$(
        {
            printf 'url = "%s%s"\nrequest = %s\n' "$url" "$path" "$method"
            [[ -z $access_token ]] || printf 'header = "Authorization: Bearer %s"\n' "$access_token"
            [[ -z $json ]] || printf 'header = "Content-Type: application/json"\ndata = "%s"\n' "${json//\"/\\\"}"
        } | curl --silent --show-error --max-time 10 --write-out '\n%{http_code}' --config -
    )
    status=${reply##*$'\n'}
    answer=${reply%$'\n'*}
}

expect() {
    [[ $status == "$1" ]] || fail "expected $1, got $status: $answer"
}

# pick MEMBER: prints the text of a member of `answer`. `session` is the id of the session.
pick() {
    local pattern="\"$1\":\""
    [[ $1 != session ]] || pattern='"session":{"id":"'
    local found
    found=$(sed -n "s/.*$pattern\([^\"]*\)\".*/\1/p" <<<"$answer")
    [[ -n $found ]] || fail "there is no $1 in: $answer"
    printf '%s' "$found"
}

# mailed_token: waits for the mail with the reset link and prints its token. In a mail, long lines are folded with `=` at the
# end, and a `=` is written as `=3D` (RFC 2045 §6.7).
mailed_token() {
    local tries found=''
    for ((tries = 0; tries < 200; tries++)); do
        found=$(cat mail/*.eml 2>/dev/null | tr -d '\r' | sed -e ':a' -e '/=$/{N;s/=\n//;ta' -e '}' -e 's/=3D/=/g' |
            sed -n 's,^ *http.*/reset[?]token=,,p' | tail -n 1) || true
        [[ -z $found ]] || break
        sleep 0.1
    done
    [[ -n $found ]] || fail 'no mail with a link arrived in mail/'
    printf '%s' "$found"
}

command -v "$authd" >/dev/null || fail "there is no $authd. Build it with \`cargo build --release\`."
[[ ! -e authd.db && ! -e mail ]] || fail "there is an authd.db or a directory mail here already: start in an empty directory."

step '1. Start the server: it makes its database and prints a link for the first administrator.'
# Port 0 takes any free port. The first lines of output have the address and the set-up link. Mail goes into a directory.
coproc SERVER { AUTHD_MAIL=dir:mail exec "$authd" serve --listen 127.0.0.1:0; }
# bash unsets both variables when the server stops.
server=$SERVER_PID output=${SERVER[0]}
trap 'kill "$server" 2>/dev/null || true' EXIT
url='' setup_token=''
while [[ -z $setup_token ]] && read -r -t 20 -u "$output" line; do
    case $line in
        authd*' serves '*)
            url=${line#* serves }
            url=${url%% *}
            ;;
        */setup\?token=*) setup_token=${line#*token=} ;;
    esac
done
[[ -n $url && -n $setup_token ]] || fail 'the server did not print its address and its set-up link'
printf '   it serves %s\n' "$url"

step '2. Set up the first account with the token of that link.'
call POST /v1/setup '' "{\"token\":\"$setup_token\",\"email\":\"$email\",\"password\":\"$password\"}"
expect 201
printf '   account %s\n' "$(pick email)"
call POST /v1/setup '' "{\"token\":\"$setup_token\",\"email\":\"eve@example.org\",\"password\":\"$password\"}"
expect 403
printf '   the link works only once\n'

step '3. Sign in on two devices.'
call POST /v1/sessions '' "{\"login\":\"$email\",\"password\":\"$password\",\"device_name\":\"laptop\"}"
expect 201
laptop_refresh=$(pick refresh_token)
call POST /v1/sessions '' "{\"login\":\"$email\",\"password\":\"$password\",\"device_name\":\"phone\"}"
expect 201
phone_session=$(pick session)
phone_refresh=$(pick refresh_token)
printf '   a laptop and a phone\n'

step '4. Refresh on the laptop: a new access token, and a new refresh token in place of the old one.'
call POST /v1/sessions/refresh '' "{\"refresh_token\":\"$laptop_refresh\"}"
expect 200
successor=$(pick refresh_token)
laptop_access=$(pick access_token)
[[ $successor != "$laptop_refresh" ]] || fail 'the refresh token did not change'
printf '   %.9s…%s became %.9s…%s\n' "$laptop_refresh" "${laptop_refresh: -8}" "$successor" "${successor: -8}"

step '5. Send the old refresh token again, as if the answer was lost: the same new token.'
call POST /v1/sessions/refresh '' "{\"refresh_token\":\"$laptop_refresh\"}"
expect 200
[[ $(pick refresh_token) == "$successor" ]] || fail 'the retry gave another token'
printf '   %.9s…%s again\n' "$successor" "${successor: -8}"

step '6. List the sessions.'
call GET /v1/sessions "$laptop_access" ''
expect 200
for device in laptop phone; do
    [[ $answer == *"\"device_name\":\"$device\""* ]] || fail "the $device is missing in: $answer"
    printf '   %s\n' "$device"
done

step '7. End the session of the phone from the laptop; the phone cannot refresh any more.'
call DELETE "/v1/sessions/$phone_session" "$laptop_access" ''
expect 204
call POST /v1/sessions/refresh '' "{\"refresh_token\":\"$phone_refresh\"}"
expect 401
printf '   its refresh: %s %s\n' "$status" "$(pick code)"

step '8. Change the password: new tokens for the laptop, and every other session ends.'
call PUT /v1/account/password "$laptop_access" \
    "{\"current_password\":\"$password\",\"new_password\":\"$new_password\"}"
expect 200
laptop_access=$(pick access_token)
laptop_refresh=$(pick refresh_token)
call POST /v1/sessions/refresh '' "{\"refresh_token\":\"$successor\"}"
expect 401
call POST /v1/sessions '' "{\"login\":\"$email\",\"password\":\"$password\"}"
expect 401
printf '   the old password and the old refresh token: %s\n' "$status"

step '9. Forget the password: a link in a mail lets you choose another, once.'
call POST /v1/password-reset '' "{\"email\":\"$email\"}"
expect 202
token=$(mailed_token)
printf '   a mail with the token %.9s…%s\n' "$token" "${token: -8}"
call POST /v1/password-reset/confirm '' "{\"token\":\"$token\",\"new_password\":\"$newest_password\"}"
expect 204
call POST /v1/password-reset/confirm '' "{\"token\":\"$token\",\"new_password\":\"$password\"}"
expect 400
printf '   used twice: %s %s\n' "$status" "$(pick code)"
for old in "$laptop_refresh" "$successor" "$phone_refresh"; do
    call POST /v1/sessions/refresh '' "{\"refresh_token\":\"$old\"}"
    expect 401
done
printf '   every older refresh token: %s\n' "$status"
call POST /v1/sessions '' "{\"login\":\"$email\",\"password\":\"$new_password\"}"
expect 401
call POST /v1/sessions '' "{\"login\":\"$email\",\"password\":\"$newest_password\"}"
expect 201
laptop_access=$(pick access_token)
laptop_refresh=$(pick refresh_token)
printf '   the newest password: 201\n'

step '10. Sign out.'
call DELETE /v1/sessions/current "$laptop_access" ''
expect 204
call GET /v1/sessions "$laptop_access" ''
expect 401
call POST /v1/sessions/refresh '' "{\"refresh_token\":\"$laptop_refresh\"}"
expect 401
printf '   access and refresh token: %s\n' "$status"

step '11. Stop the server.'
kill -TERM "$server"
trap - EXIT
wait "$server" || fail "the server ended with $?"
printf '   done. To see what happened: %s event list\n' "$authd"
