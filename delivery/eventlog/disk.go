package eventlog

import (
	"errors"
	"os"
	"path/filepath"
)

// disk is the file system under the log. It is an interface because the crash
// tests bring a second one, which forgets what was not synced.
type disk interface {
	MkdirAll(dir string) error            // durable, with all that it made
	Create(path string) (file, error)     // fails when path exists
	Cut(path string, size int64) error    // truncates and syncs
	Rename(from, to string) error         // within one folder
	Remove(path string) error             // a file or an empty folder
	ReadFile(path string) ([]byte, error) //
	List(dir string) ([]entry, error)     // by name
	SyncDir(dir string) error             // makes creations, renames and removals in it durable
}

type file interface {
	Write(b []byte) (int, error)
	Datasync() error
	Close() error
}

type entry struct {
	name string
	size int64
	dir  bool
}

// osDisk is the real one.
type osDisk struct{}

type osFile struct{ *os.File }

func (f osFile) Datasync() error { return datasync(f.File) }

func (d osDisk) MkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !os.IsExist(err) {
		return err
	}
	return d.SyncDir(parent)
}

func (osDisk) Create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Cut(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

func (osDisk) Rename(from, to string) error         { return os.Rename(from, to) }
func (osDisk) Remove(path string) error             { return os.Remove(path) }
func (osDisk) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (osDisk) List(dir string) ([]entry, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(found))
	for _, f := range found {
		info, err := f.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{name: f.Name(), size: info.Size(), dir: f.IsDir()})
	}
	return entries, nil
}

func (osDisk) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
