package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// command runs the program as far as one that ends by itself.
func command(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	var cli commands
	parser, err := kong.New(&cli, about...)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = run(t.Context(), parsed.Command(), cli, strings.NewReader(input), &out)
	return out.String(), err
}

func TestCommands(t *testing.T) {
	t.Parallel()
	database := "--database-url=" + postgrestest.URL(t)
	f := func(want, wantError, input string, args ...string) {
		t.Helper()
		got, err := command(t, input, args...)
		if got != want || (err == nil) != (wantError == "") || err != nil && !strings.Contains(err.Error(), wantError) {
			t.Errorf("admin %v = %q, %v; want %q, %q", args, got, err, want, wantError)
		}
	}
	f("dev\n", "", "", "version")
	f("user 1 created: root@example.com, operator\n", "", "correct horse\n", "user", "create", database, "--email=root@example.com", "--role=operator")
	f("", "exists already", "correct horse\n", "user", "create", database, "--email=root@example.com", "--role=operator")
	f("", "--email", "", "user", "create", database, "--role=operator")
	f("", "expected", "", "user", database)
	f("", "DATABASE_URL is not set", "", "serve")
}
