# Ends the brokers of a test and removes their directory ($1) when standard input ends: when the test is over, however it
# ended. Signals to the test do not end it.
trap '' INT TERM HUP
cat >/dev/null
# A broker that is just being started finds no configuration any more.
mv "$1/config" "$1/gone" 2>/dev/null
sleep 0.1
for file in "$1"/*.pid; do
	[ -e "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null
done
for try in 1 2 3 4 5 6 7 8 9 10; do
	rm -rf "$1" 2>/dev/null
	[ -e "$1" ] || exit 0
	sleep 0.2
done
