package kustomize

import (
	"context"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// stage is what the Dockerfile does under one name.
type stage struct {
	from         string
	instructions []string // with their arguments, one line each
}

// dockerfile reads the repository's Dockerfile; of its syntax it knows what ours uses.
func dockerfile(t *testing.T) map[string]*stage {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := make(map[string]*stage)
	current := &stage{}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || strings.HasPrefix(line, "#"):
		case fields[0] == "FROM":
			if len(fields) < 4 || fields[len(fields)-2] != "AS" {
				t.Fatalf("%q: a stage without a name", line)
			}
			current = &stage{from: fields[len(fields)-3]}
			stages[fields[len(fields)-1]] = current
		default:
			current.instructions = append(current.instructions, strings.TrimSpace(line))
		}
	}
	return stages
}

// find returns what follows the one instruction that begins so.
func (s *stage) find(t *testing.T, beginning string) string {
	t.Helper()
	for _, instruction := range s.instructions {
		if rest, found := strings.CutPrefix(instruction, beginning); found {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s among %q", beginning, s.instructions)
	return ""
}

var copied = regexp.MustCompile(`^--from=(\S+) /out/(\S+) /(\S+)$`)

const testVersion = "r0-test"

// binaries builds what the images hold, with the very commands of the Dockerfile.
func binaries(t *testing.T) map[string]string {
	t.Helper()
	stages := dockerfile(t)
	out := t.TempDir()
	ran := make(map[string]bool)
	built := make(map[string]string)
	for _, service := range []string{"delivery", "batch", "admin"} {
		match := copied.FindStringSubmatch(stages[service].find(t, "COPY"))
		if match == nil || match[2] != service || match[3] != service {
			t.Fatalf("stage %s copies %q", service, match)
		}
		build := stages[match[1]]
		for _, instruction := range build.instructions {
			command, isRun := strings.CutPrefix(instruction, "RUN ")
			if !isRun || !strings.Contains(command, "go build") || ran[command] {
				continue
			}
			ran[command] = true
			runBuild(t, strings.ReplaceAll(command, "/out/", out+"/"))
		}
		built[service] = filepath.Join(out, service)
	}
	return built
}

func runBuild(t *testing.T, command string) {
	t.Helper()
	build := exec.Command("sh", "-euc", command)
	build.Dir = ".."
	build.Env = append(os.Environ(), "GOTOOLCHAIN=local", "CGO_ENABLED=0",
		"VERSION="+testVersion, "TARGETOS="+runtime.GOOS, "TARGETARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// The programs of the images are static, since there is no C library beside them, know their version, and
// accept what the manifests tell them.
func TestImages(t *testing.T) {
	t.Parallel()
	built := binaries(t)
	for service, path := range built {
		if runtime.GOOS == "linux" {
			checkStatic(t, path)
		}
		if out, code := run(t, nil, path, "version"); code != 0 || strings.TrimSpace(out) != testVersion {
			t.Errorf("%s version: exit code %d, said %q, want %q", service, code, out, testVersion)
		}
	}
	for _, env := range environments(t) {
		t.Run(env, func(t *testing.T) {
			r := render(t, env)
			for _, w := range r.ours() {
				for _, c := range w.containers() {
					checkAccepts(t, r, built, containerOf{w, c})
				}
			}
		})
	}
}

func checkStatic(t *testing.T, path string) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Errorf("%s asks for a dynamic linker", path)
	}
	if libraries, err := file.ImportedLibraries(); err == nil && len(libraries) > 0 {
		t.Errorf("%s needs %q", path, libraries)
	}
}

// run starts a program with nothing but these variables and returns what it said.
func run(t *testing.T, env []string, path string, args ...string) (said string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	command.Env = append([]string{}, env...)
	command.Dir = t.TempDir()
	out, err := command.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %v did not end: %s", path, args, out)
	}
	if err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

// The images run as somebody who is not root, in a base that names its version.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	if user := stages["runtime"].find(t, "USER"); user != "65532:65532" {
		t.Errorf("images run as %s", user)
	}
	for _, service := range []string{"delivery", "batch", "admin"} {
		if stages[service].from != "runtime" {
			t.Errorf("%s starts from %s", service, stages[service].from)
		}
		if entry := stages[service].find(t, "ENTRYPOINT"); entry != `["/`+service+`"]` {
			t.Errorf("%s starts %s", service, entry)
		}
	}
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range regexp.MustCompile(`(?m)^ARG \w+=(\S+)$`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(image[1], ":") || strings.HasSuffix(image[1], ":latest") {
			t.Errorf("base image %s is not pinned", image[1])
		}
	}
	goMod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(goMod))[1]
	if !strings.Contains(string(text), "ARG GO=golang:"+version+"-") {
		t.Errorf("the Dockerfile does not build with Go %s, as go.mod wants", version)
	}
}
