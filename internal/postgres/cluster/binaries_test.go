package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	f := func(answer, want string) {
		t.Helper()
		dir := t.TempDir()
		for _, name := range []string{"initdb", "postgres"} {
			script := fmt.Sprintf("#!/bin/sh\necho '%s'\n", answer)
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		_, err := usable(dir)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("version %q: %v; want %q", answer, err, want)
		}
	}
	f("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "")
	f("postgres (PostgreSQL) 18.4", "")
	f("postgres (PostgreSQL) 18beta1", "")
	f("postgres (PostgreSQL) 14.20", "is version 14.20; this project runs on 15 to 18")
	f("postgres (PostgreSQL) 19.1", "is version 19.1")
	f("postgres (PostgreSQL) devel", "is version devel")
	f("postgres (PostgreSQL) 18", "")
	f("nothing known", "answers")
}

// packageTree writes a small tree that looks like the npm package.
func packageTree(t *testing.T, links string) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "native")
	for path, content := range map[string]string{
		"bin/initdb":     "#!/bin/sh\n",
		"bin/postgres":   "#!/bin/sh\n# " + t.Name(),
		"lib/libx.so.1":  "x",
		"lib/libx.a":     "static",
		"share/errcodes": "0",
		linkList:         links,
	} {
		path = filepath.Join(tree, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func TestStageCompletesThePackage(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	tree := packageTree(t, `[{"source":"native/lib/libx.so.1","target":"native/lib/libx.so"}]`)
	bin, err := usable(filepath.Join(tree, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		if content, err := os.ReadFile(filepath.Join(bin, "../lib/libx.so")); string(content) != "x" {
			t.Errorf("%s: the link reads %q, %v", when, content, err)
		}
		if info, err := os.Stat(filepath.Join(bin, "postgres")); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: postgres: %v, %v; want mode 0755", when, info, err)
		}
		if _, err := os.Stat(filepath.Join(bin, "../lib/libx.a")); err == nil {
			t.Errorf("%s: the copy has static libraries", when)
		}
		if beside, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(beside) != 1 {
			t.Errorf("%s: %q lie beside the copy", when, beside)
		}
	}
	check("new")
	// What cleaners of temporary folders do.
	for _, lost := range []string{"postgres", "../lib/libx.so", "../share/errcodes"} {
		if err := os.Remove(filepath.Join(bin, lost)); err != nil {
			t.Fatal(err)
		}
		again, err := usable(filepath.Join(tree, "bin"))
		if err != nil || again != bin {
			t.Fatalf("copy without %s: %s, %v", lost, again, err)
		}
		check("without " + lost)
	}
	// Somebody else could have put other programs there.
	if err := os.Chmod(filepath.Dir(bin), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := usable(filepath.Join(tree, "bin")); err == nil || !strings.Contains(err.Error(), "other users") {
		t.Errorf("a copy that all may write: %v; want it refused", err)
	}
}

func TestStageRefusesLinksOutOfThePackage(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, target := range []string{"native/../../x", "/etc/x", "native//x"} {
		tree := packageTree(t, `[{"source":"native/lib/libx.so.1","target":"`+target+`"}]`)
		if _, err := usable(filepath.Join(tree, "bin")); err == nil || !strings.Contains(err.Error(), "leaves the package") {
			t.Errorf("link to %q: %v; want it refused", target, err)
		}
	}
}

func TestSocketPathIsShort(t *testing.T) {
	data := t.TempDir()
	t.Setenv("TMPDIR", "/"+strings.Repeat("long/", 20))
	dir, err := socketDir(data, account{uid: os.Geteuid(), gid: os.Getegid()})
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	if len(dir) > maxSocketDir {
		t.Errorf("socket folder %q has %d bytes", dir, len(dir))
	}
}
