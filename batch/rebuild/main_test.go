package rebuild

import (
	"flag"
	"os"
	"testing"
)

// TestMain plays fewer random histories than rapid's default unless told: each
// has a real database behind it. -rapid.checks=1000 plays more.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("12")
	}
	os.Exit(m.Run())
}
