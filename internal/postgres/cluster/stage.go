package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// linkList is the npm package's list of the symbolic links that a tarball of npm cannot carry. The
// package makes them in an install script; this project allows none, and makes them in its own copy.
const linkList = "pg-symlinks.json"

// A link of linkList, both paths starting with "native/".
type link struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// stage copies the npm package's tree once to a folder under os.TempDir that every user can enter,
// since node_modules may lie where the server's user cannot, completes its links, and returns the
// copy's bin folder. The folder's name follows from the tree's content, and it appears by rename:
// many processes may do this at once.
func stage(tree string) (string, error) {
	files, err := listTree(tree)
	if err != nil {
		return "", fmt.Errorf("read the Postgres package: %w", err)
	}
	target := filepath.Join(os.TempDir(), "hayate-postgres-"+fingerprint(files))
	if whole(target, files) {
		return filepath.Join(target, "bin"), nil
	}
	if err := copyAside(tree, target, files); err != nil {
		return "", fmt.Errorf("copy the Postgres binaries: %w", err)
	}
	return filepath.Join(target, "bin"), nil
}

// A file of the tree; path is relative to it.
type file struct {
	path string
	info fs.FileInfo
}

// listTree lists what a server needs: no static libraries and no headers' companions.
func listTree(tree string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, ".a") {
			return err
		}
		info, err := entry.Info()
		relative, _ := filepath.Rel(tree, path)
		files = append(files, file{relative, info})
		return err
	})
	return files, err
}

// fingerprint names the content by names and sizes, which differ between versions and platforms;
// reading 60 MB at every start would cost more than the start itself. The user is part of it: two
// users of one machine cannot share, as neither should trust the other's binaries.
func fingerprint(files []file) string {
	hash := sha256.New()
	fmt.Fprintln(hash, os.Geteuid())
	for _, file := range files {
		fmt.Fprintln(hash, file.path, file.info.Size())
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// whole tells whether an earlier copy is still complete (cleaners of temporary folders take single
// files) and ours.
func whole(target string, files []file) bool {
	if (account{uid: os.Geteuid()}).owns(target) != nil {
		return false
	}
	for _, file := range files {
		info, err := os.Stat(filepath.Join(target, file.path))
		if err != nil || info.Size() != file.info.Size() {
			return false
		}
	}
	links, err := readLinks(target)
	for _, link := range links {
		if _, err := os.Stat(filepath.Join(target, link.Target)); err != nil {
			return false
		}
	}
	return err == nil
}

func copyAside(tree, target string, files []file) error {
	aside, err := os.MkdirTemp(filepath.Dir(target), filepath.Base(target)+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	for _, file := range files {
		if err := copyFile(filepath.Join(tree, file.path), filepath.Join(aside, file.path)); err != nil {
			return err
		}
	}
	if err := makeLinks(aside); err != nil {
		return err
	}
	if err := openToAll(aside); err != nil {
		return err
	}
	return moveInto(aside, target, files)
}

// moveInto puts the finished copy in its place. Where an incomplete one stands, that one steps aside
// first; where another process was faster, its copy is as good as ours.
func moveInto(aside, target string, files []file) error {
	err := os.Rename(aside, target)
	if err == nil || whole(target, files) {
		return nil
	}
	if ownErr := (account{uid: os.Geteuid()}).owns(target); ownErr != nil {
		return errors.Join(err, ownErr)
	}
	broken := aside + "-broken"
	if err := os.Rename(target, broken); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	defer os.RemoveAll(broken)
	if err := os.Rename(aside, target); err != nil && !whole(target, files) {
		return err
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func readLinks(tree string) ([]link, error) {
	content, err := os.ReadFile(filepath.Join(tree, linkList))
	if err != nil {
		return nil, err
	}
	var links []link
	if err := json.Unmarshal(content, &links); err != nil {
		return nil, fmt.Errorf("%s: %w", linkList, err)
	}
	for i := range links {
		source, okSource := strings.CutPrefix(links[i].Source, "native/")
		target, okTarget := strings.CutPrefix(links[i].Target, "native/")
		if !okSource || !okTarget || !filepath.IsLocal(source) || !filepath.IsLocal(target) {
			return nil, fmt.Errorf("%s: link %q to %q leaves the package", linkList, links[i].Target, links[i].Source)
		}
		links[i] = link{source, target}
	}
	return links, nil
}

func makeLinks(tree string) error {
	links, err := readLinks(tree)
	if err != nil {
		return err
	}
	for _, link := range links {
		if strings.HasSuffix(link.Source, ".a") {
			continue
		}
		relative, err := filepath.Rel(filepath.Dir(link.Target), link.Source)
		if err != nil {
			return err
		}
		if err := os.Symlink(relative, filepath.Join(tree, link.Target)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// openToAll undoes a narrow umask and makes the programs executable.
func openToAll(tree string) error {
	return filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Type()&fs.ModeSymlink != 0:
			return nil
		case entry.IsDir(), filepath.Dir(path) == filepath.Join(tree, "bin"), strings.Contains(entry.Name(), ".so"):
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
}
