package docs

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
	link    = regexp.MustCompile(`\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	proof   = regexp.MustCompile("^`((?:Test|Fuzz)[A-Z]\\w*)`$")
	mention = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`)
)

// pages are all pages that link, README included.
func pages(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 2 {
		t.Fatalf("found %d pages", len(files))
	}
	below, err := filepath.Glob("*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, below...)
	if _, err := os.Stat("../README.md"); !errors.Is(err, fs.ErrNotExist) {
		files = append(files, "../README.md")
	}
	return files
}

// TestLinks follows every relative link to its file, and to its heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		for _, l := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			target, err := url.Parse(l[2])
			if err != nil {
				t.Errorf("%s: %s: %v", page, l[0], err)
				continue
			}
			if target.IsAbs() {
				continue
			}
			file := page
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(page), filepath.FromSlash(target.Path))
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s leads to nothing", page, l[0])
				continue
			}
			if target.Fragment != "" && strings.HasSuffix(file, ".md") && !anchors(t, file)[target.Fragment] {
				t.Errorf("%s: %s: no such heading", page, l[0])
			}
		}
	}
}

// anchors are a page's headings as GitHub names them in links.
func anchors(t *testing.T, file string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(read(t, file), ""), -1) {
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, h[1])] = true
	}
	return found
}

// guarantees is the page on which a test may only be named with its file.
const guarantees = "guarantees.md"

// TestProofsExist wants every link that names a test to lead to the file in which
// that test stands.
func TestProofsExist(t *testing.T) {
	t.Parallel()
	proofs := 0
	for _, page := range pages(t) {
		text := fence.ReplaceAllString(read(t, page), "")
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			name := proof.FindStringSubmatch(l[1])
			if name == nil {
				continue
			}
			proofs++
			source, err := os.ReadFile(filepath.Join(filepath.Dir(page), filepath.FromSlash(l[2])))
			if err != nil || !strings.Contains(string(source), "\nfunc "+name[1]+"(") {
				t.Errorf("%s: %s: no such test there", page, l[0])
			}
		}
		if bare := mention.FindString(link.ReplaceAllString(text, "")); bare != "" && page == guarantees {
			t.Errorf("%s names %s without a link to its file", page, bare)
		}
	}
	if proofs == 0 {
		t.Error("no page names a test")
	}
}
