package fences

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	pgx    = []string{"github.com/jackc/pgx/v5/...", "database/sql"}
	bucket = []string{"gocloud.dev/...", "./internal/bucket/..."}
	redis  = []string{"github.com/redis/rueidis/..."}
	server = []string{"github.com/valyala/fasthttp/...", "net/http/..."}
)

func all(lists ...[]string) []string {
	var whole []string
	for _, list := range lists {
		whole = append(whole, list...)
	}
	return whole
}

// The rules of docs/ARCHITECTURE.md, "Fences".
var rules = []Rule{
	{
		From: []string{
			"./delivery/auction/...", "./delivery/catalog/...", "./delivery/lease/...", "./delivery/openrtb/...",
			"./delivery/render/...", "./delivery/target/...", "./delivery/token/...", "./delivery/visitor/...",
		},
		Not:     all(server, bucket, pgx, redis, []string{"./internal/postgres/...", "./internal/telemetry/..."}),
		Through: true,
		// Libraries that only name a type of net/http: they run nothing of it on our ways.
		Past:    []string{"golang.org/x/net/publicsuffix", "github.com/medama-io/go-useragent"},
		Because: "the packages that decide stay pure: tested, fuzzed, measured and simulated alone",
	},
	{
		From:    []string{"./delivery/..."},
		Not:     []string{"./admin/...", "./batch/..."},
		Through: true,
		Because: "services meet only in two file formats, in Postgres and in the bucket",
	},
	{
		From:    []string{"./batch/..."},
		Not:     []string{"./delivery/...", "./admin/..."},
		Through: true,
		Because: "services meet only in two file formats, in Postgres and in the bucket",
	},
	{
		From:    []string{"./admin/..."},
		Not:     []string{"./delivery/...", "./batch/...", "github.com/valyala/fasthttp/..."},
		Through: true,
		Because: "services meet only in two file formats, in Postgres and in the bucket, and the console speaks net/http",
	},
	{
		From:    []string{"./internal/..."},
		Except:  []string{"./internal/e2e/...", "./internal/simulation/...", "./internal/bench/..."},
		Not:     []string{"./delivery/...", "./batch/...", "./admin/...", "./cmd/..."},
		Through: true,
		Because: "arrows point down: what all services share knows none of them",
	},
	{
		From:    []string{"./internal/money/..."},
		Only:    []string{"./internal/money/..."},
		Through: true,
		Because: "money rests on the standard library alone",
	},
	{
		From:    []string{"./internal/ad/...", "./internal/rule/...", "./internal/event/...", "./internal/snapshot/..."},
		Not:     all(server, bucket, pgx, redis, []string{"os", "os/exec", "net", "./internal/postgres/...", "./internal/telemetry/..."}),
		Because: "the domain and the two formats do no IO: their callers do",
	},
	{
		From:    []string{"./delivery/..."},
		Except:  []string{"./delivery/bank/..."},
		Not:     pgx,
		Because: "delivery answers from memory, and its bank alone talks to Postgres",
	},
	{
		From:    []string{"./delivery/..."},
		Except:  []string{"./delivery", "./delivery/bank/..."},
		Not:     []string{"./internal/postgres/..."},
		Because: "delivery answers from memory, and its bank alone talks to Postgres (package delivery only opens it)",
	},
	{
		From:    []string{"./cmd/delivery", "./cmd/admin", "./cmd/batch"},
		Not:     []string{"testing/...", "./internal/postgres/cluster/...", "./internal/postgres/postgrestest/...", "./internal/fences/..."},
		Through: true,
		Because: "what serves customers carries no tools for tests and demos",
	},
	{
		From:    []string{"./..."},
		Except:  []string{"./cmd/standalone", "./internal/postgres/postgrestest/...", "./internal/e2e/...", "./internal/bench/..."},
		Not:     []string{"./internal/postgres/cluster/..."},
		Because: "only the demo, the tests and the benchmarks start a Postgres of their own",
	},
}

// readFolders makes the go command run this test again when a source file has changed: it caches
// results by the files and folders that the test itself has read, and knows nothing of go list's.
func readFolders(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && slices.Contains([]string{"node_modules", "var", "bin", ".git", "testdata", "dist"}, entry.Name()) {
			return fs.SkipDir
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file that went while we looked
		t.Fatal(err)
	}
}

func TestFences(t *testing.T) {
	t.Parallel()
	readFolders(t)
	graph, err := Load(".")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, rule := range rules {
		breaches, bound := graph.Check(rule)
		for _, breach := range breaches {
			t.Error(breach)
		}
		total += bound
	}
	if total == 0 || len(graph.own()) < 5 {
		t.Fatalf("the rules bound %d packages of %d: they guard nothing", total, len(graph.own()))
	}
	for _, own := range graph.own() {
		switch name := path.Base(own); name {
		case "util", "utils", "common", "helpers", "misc", "base", "shared", "lib":
			t.Errorf("%s: %q says nothing about what is in it; name the noun", short(own), name)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	graph := make(Graph)
	add := func(path string, imports ...string) {
		own := strings.HasPrefix(path, Module)
		graph[path] = Package{ImportPath: path, Imports: imports, DepOnly: !own, Standard: !strings.Contains(path, ".")}
	}
	add(Module+"/pure", "fmt", Module+"/middle")
	add(Module+"/middle", "example.com/lib")
	add(Module + "/middleman")
	add("example.com/lib", "net/http")
	add("net/http")
	add("fmt")

	f := func(rule Rule, wantBound int, want ...string) {
		t.Helper()
		rule.Because = "why"
		got, bound := graph.Check(rule)
		if diff := cmp.Diff(want, got); diff != "" || bound != wantBound {
			t.Errorf("%+v bound %d, want %d:\n%s", rule, bound, wantBound, diff)
		}
	}
	pure, http := []string{"./pure"}, []string{"net/http"}
	f(Rule{From: pure, Not: http}, 1)
	f(Rule{From: pure, Not: http, Through: true}, 1,
		"./pure must not import net/http, by way of example.com/lib, by way of ./middle, because why")
	f(Rule{From: pure, Not: http, Through: true, Past: []string{"example.com/lib"}}, 1)
	f(Rule{From: pure, Not: []string{"./middle"}}, 1, "./pure must not import ./middle, because why")
	f(Rule{From: []string{"./..."}, Not: []string{"example.com/..."}}, 3, "./middle must not import example.com/lib, because why")
	f(Rule{From: []string{"./..."}, Except: []string{"./middle"}, Not: []string{"example.com/..."}}, 2)
	f(Rule{From: []string{"./middle/..."}, Only: []string{}}, 1, "./middle must not import example.com/lib, because why")
	f(Rule{From: []string{"./middle/..."}, Only: []string{"example.com/lib"}, Through: true}, 1)
	f(Rule{From: []string{"./none"}, Not: http}, 0)
}
