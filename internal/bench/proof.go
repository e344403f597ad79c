package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// proof is one part of `make proof`: tests at full size whose figures stand in
// what they log, as lines `figure NAME VALUE UNIT`.
type proof struct {
	name string
	env  []string
	args []string // of go test
}

var proofs = []proof{
	{name: "snapshot", args: []string{"-run", "Corruptions", "./delivery/refresh"}},
	{name: "rule", env: []string{"PROOF=1"}, args: []string{"-run", "NormaliseKeepsTheMeaning|Bombs|Largest|Contradictions", "./internal/rule"}},
	{name: "target", env: []string{"PROOF=1"}, args: []string{"-run", "ManyPairs|AgreesWithPlainEvaluator", "./delivery/target"}},
	{name: "auction", env: []string{"PROOF=1"}, args: []string{"-run", "Model|Explained|Replay", "./delivery/auction"}},
	{name: "eventlog", env: []string{"PROOF=1"}, args: []string{"-run", "TestCrash|TestRealDiskFull|TestKill|TestEvery|TestSpool", "./delivery/eventlog", "./internal/event"}},
	{name: "circle", args: []string{"-tags", "e2e", "-run", "TestCircle", "./internal/e2e"}},
	{name: "kill", env: []string{"PROOF=1"}, args: []string{"-tags", "e2e", "-run", "TestKillLoops", "./internal/e2e"}},
	{name: "browser", args: []string{"-tags", "e2e", "-run", "TestBrowser", "./internal/e2e"}},
}

// partLimit bounds one part.
const partLimit = 15 * time.Minute

var figureLine = regexp.MustCompile(`figure ([a-z0-9_.]+ [-+0-9.e]+ \S+)`)

// prove runs the parts whose name begins with ONLY. Figures and finished parts
// are kept in var/proof.txt: a part that went through on this commit is not run
// again, so that a run that was cut short goes on where it stopped.
func prove(ctx context.Context, only string) (err error) {
	if err := os.MkdirAll("var", 0o755); err != nil {
		return err
	}
	path := filepath.Join("var", "proof.txt")
	commit, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return fmt.Errorf("git rev-parse: %w", err)
	}
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	matched := false
	for _, p := range proofs {
		if !strings.HasPrefix(p.name, only) {
			continue
		}
		matched = true
		done := fmt.Sprintf("proof.%s.%s 1 passed\n", p.name, bytes.TrimSpace(commit))
		if bytes.Contains(before, []byte(done)) {
			note("%s went through on this commit already", p.name)
			continue
		}
		if err := p.run(ctx, io.MultiWriter(os.Stdout, file)); err != nil {
			return err
		}
		fmt.Fprint(io.MultiWriter(os.Stdout, file), done)
	}
	if !matched && !new(bench).among(only) {
		return fmt.Errorf("no part begins with ONLY=%q", only)
	}
	return nil
}

// run runs the tests, shows what they print on the side, and passes their figures on.
func (p proof) run(ctx context.Context, figures io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, partLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-v", "-timeout", partLimit.String()}, p.args...)...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var last bytes.Buffer
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(&last, lines.Text())
		if found := figureLine.FindStringSubmatch(lines.Text()); found != nil {
			fmt.Fprintln(figures, found[1])
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, err, last.String())
	}
	return nil
}

// among tells whether any measured figure begins with the prefix.
func (b *bench) among(prefix string) bool {
	b.only = prefix
	for _, f := range figures {
		if b.wanted(f.names...) {
			return true
		}
	}
	return false
}
