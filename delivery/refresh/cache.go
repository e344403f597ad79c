package refresh

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hayate-ads/hayate/internal/snapshot"
)

// The cache holds snapshots under the last part of their keys, so a file's name
// says what is in it. What is still being written has this ending.
const unfinished = ".unfinished"

// kept is how many good files stay: the one in use and the one before.
const kept = 2

// Load makes the cache folder and puts its newest good snapshot to use. Without
// one it returns nil: the bucket will give one. Run and Fetch call it.
func (r *Refresher) Load() error {
	r.turn.Lock()
	defer r.turn.Unlock()
	if r.loaded {
		return nil
	}
	names, err := r.openCache()
	if err != nil {
		return fmt.Errorf("snapshot cache: %w", err)
	}
	r.loaded = true
	for _, name := range names {
		err := r.useCached(name)
		if err == nil {
			r.good = []string{name}
			return nil
		}
		var refused *snapshot.Error
		if errors.As(err, &refused) {
			generation, _ := snapshot.ParseKey(snapshot.Prefix + name)
			r.refuse(refused, generation)
			continue
		}
		r.log().Warn("cached snapshot cannot be read", "error", err)
	}
	return nil
}

// openCache makes the folder, removes what a killed process left unfinished, and
// returns the names of the finished files, highest generation first.
func (r *Refresher) openCache() (names []string, err error) {
	if r.CacheDir == "" {
		return nil, errors.New("no folder given")
	}
	if err := os.MkdirAll(r.CacheDir, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(r.CacheDir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), unfinished) {
			if err := os.Remove(filepath.Join(r.CacheDir, entry.Name())); err != nil {
				return nil, err
			}
		} else if _, ok := snapshot.ParseKey(snapshot.Prefix + entry.Name()); ok {
			names = append(names, entry.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		first, _ := snapshot.ParseKey(snapshot.Prefix + a)
		second, _ := snapshot.ParseKey(snapshot.Prefix + b)
		return cmp.Compare(second, first)
	})
	return names, nil
}

func (r *Refresher) useCached(name string) error {
	full := filepath.Join(r.CacheDir, name)
	info, err := os.Stat(full)
	if err != nil {
		return err
	}
	if info.Size() > r.maxSize() {
		return &snapshot.Error{Reason: snapshot.TooLarge, Key: full, Detail: fmt.Sprintf("%d bytes, the limit is %d", info.Size(), r.maxSize())}
	}
	file, err := os.ReadFile(full)
	if err != nil {
		return err
	}
	// The pointer is not kept: the file's own checksum and its name stand in for it.
	s, err := r.parse(full, file)
	if err != nil {
		return err
	}
	p := snapshot.PointTo(s, file)
	if path.Base(p.Key) != name {
		return &snapshot.Error{Reason: snapshot.BadPointer, Key: full, Detail: "it holds " + p.Key}
	}
	return r.use(p, s, true)
}

// keep writes a copy into the cache and removes all but the last good ones. It
// reports trouble once, not with every snapshot: only a restart without the
// bucket would miss the copy.
func (r *Refresher) keep(p snapshot.Pointer, file []byte) {
	name := path.Base(p.Key)
	err := r.write(name, file)
	if err == nil {
		r.good = append(r.good, name)
		r.good = r.good[max(0, len(r.good)-kept):]
		err = r.prune()
	}
	switch {
	case err != nil && !r.cacheBad:
		r.log().Error("snapshot serves but its copy cannot be kept", "generation", p.Generation, "error", err)
	case err == nil && r.cacheBad:
		r.log().Info("snapshot copies can be kept again")
	}
	r.cacheBad = err != nil
}

// write makes the file appear under its name only when it is whole and on disk.
func (r *Refresher) write(name string, file []byte) (err error) {
	temp := filepath.Join(r.CacheDir, name+unfinished)
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.Write(file)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, filepath.Join(r.CacheDir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	folder, err := os.Open(r.CacheDir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (r *Refresher) prune() error {
	entries, err := os.ReadDir(r.CacheDir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if _, ok := snapshot.ParseKey(snapshot.Prefix + name); ok && !slices.Contains(r.good, name) {
			err = errors.Join(err, os.Remove(filepath.Join(r.CacheDir, name)))
		}
	}
	return err
}
