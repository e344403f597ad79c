// Package delivery is the ad server: it answers publishers with decisions and
// browsers' tracking calls with an acknowledgement that means "on disk".
//
// A request takes one pointer, to what currently serves ([board], [serving]), and
// one pooled [scratch], and needs nothing else: no lock, no allocation, no log
// line, no Postgres. Around it run, each in one goroutine, the bank (leases in),
// the refresher (snapshots in), the event log (events out) and a clock of one
// second; [Run] wires all of them, and drain ends them in the opposite order.
//
// One file per endpoint is named handle_*.go. What hostile clients send is
// refused in guard.go (HTTP itself), request.go and scanner.go (JSON), and
// query.go (query strings), before anything else looks at it.
package delivery
