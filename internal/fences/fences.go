// Package fences keeps the rooms of this project apart: its test lists which package may not import
// which, and why. It looks at what is compiled into programs; tests may import what they like.
package fences

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Module is the path that rules leave out: "./delivery" stands for a package of this module.
const Module = "github.com/hayate-ads/hayate"

// A Rule forbids imports. Patterns are import paths, "./" before those of this module; one ending in
// "/..." also matches all below it. A pattern may name what does not exist yet.
type Rule struct {
	From    []string // the packages that the rule binds
	Except  []string // ... but these
	Not     []string // what they must not import
	Only    []string // if set, all that they may import beside the standard library
	Through bool     // also not by way of other packages
	Past    []string // ways that Through does not follow
	Because string   // completes "must not import ..., because"
}

// A Package is what a rule needs to know of one package.
type Package struct {
	ImportPath string
	Imports    []string
	Standard   bool // of the standard library
	DepOnly    bool // not of this module's own, only needed by it
	Name       string
}

// A Graph holds this module's packages and all that they need, by import path.
type Graph map[string]Package

// Load asks the go command for the packages of the module that contains dir. Packages that do not
// compile are listed all the same: what they import is known.
func Load(dir string) (Graph, error) {
	command := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports,Standard,DepOnly,Name", Module+"/...")
	command.Dir = dir
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, strings.TrimSpace(complaints.String()))
	}
	graph := make(Graph)
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p Package
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return graph, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		graph[p.ImportPath] = p
	}
}

// Check returns a sentence for every breach of a rule, and how many packages the rule bound.
func (g Graph) Check(rule Rule) (breaches []string, bound int) {
	for _, path := range g.own() {
		if !matchAny(rule.From, path) || matchAny(rule.Except, path) {
			continue
		}
		bound++
		for _, way := range g.ways(path, rule) {
			breaches = append(breaches, fmt.Sprintf("%s must not import %s, because %s",
				short(path), strings.Join(way, ", by way of "), rule.Because))
		}
	}
	return breaches, bound
}

// own lists this module's packages.
func (g Graph) own() []string {
	var paths []string
	for path, p := range g {
		if !p.DepOnly {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// ways returns, for each forbidden package that path reaches, the package and a shortest way to it.
func (g Graph) ways(path string, rule Rule) [][]string {
	var found [][]string
	came := map[string]string{path: ""}
	for queue := []string{path}; len(queue) > 0; queue = queue[1:] {
		here := queue[0]
		for _, next := range g[here].Imports {
			if _, seen := came[next]; seen {
				continue
			}
			came[next] = here
			if g.forbidden(next, rule) {
				found = append(found, wayTo(next, path, came))
			} else if rule.Through && !matchAny(rule.Past, next) {
				queue = append(queue, next)
			}
		}
	}
	return found
}

// wayTo lists the forbidden package and those between it and the one that the rule binds.
func wayTo(forbidden, bound string, came map[string]string) []string {
	way := []string{short(forbidden)}
	for at := came[forbidden]; at != bound; at = came[at] {
		way = append(way, short(at))
	}
	return way
}

func (g Graph) forbidden(path string, rule Rule) bool {
	if matchAny(rule.Not, path) {
		return true
	}
	return rule.Only != nil && !g[path].Standard && !matchAny(rule.Only, path)
}

func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, path) })
}

func match(pattern, path string) bool {
	if rest, ok := strings.CutPrefix(pattern, "./"); ok {
		pattern = Module + "/" + rest
	}
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == above || strings.HasPrefix(path, above+"/")
	}
	return path == pattern
}

// short writes packages of this module as rules do.
func short(path string) string {
	if rest, ok := strings.CutPrefix(path, Module+"/"); ok {
		return "./" + rest
	}
	return path
}
