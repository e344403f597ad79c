package eventlog

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// crashDisk is a file system in memory that knows what a power cut would leave:
// of files what was synced and a random part of the rest, torn at sectors; of
// folders what was synced and some first of the later changes.
type crashDisk struct {
	mu    sync.Mutex
	root  *node
	quota int64 // bytes in all files; 0: none

	// before is called, without the lock, before every operation; an error makes
	// the operation fail.
	before func(op string) error
}

type node struct {
	data    []byte
	synced  int  // so much of data survives
	damaged bool // a sync failed: the kernel calls the rest clean, and it is not

	children map[string]*node // of a folder
	stable   map[string]*node
	pending  []change
}

// change is what happened in a folder: a name went, a name came.
type change struct {
	gone, come string
	n          *node
}

func (c change) do(m map[string]*node) {
	delete(m, c.gone)
	if c.come != "" {
		m[c.come] = c.n
	}
}

func newFolder() *node { return &node{children: map[string]*node{}, stable: map[string]*node{}} }

func newCrashDisk() *crashDisk {
	return &crashDisk{root: newFolder(), before: func(string) error { return nil }}
}

// change does c to a folder; a crash may undo it until the folder is synced.
func (n *node) change(c change) {
	c.do(n.children)
	n.pending = append(n.pending, c)
}

func (n *node) sync() { n.stable, n.pending = maps.Clone(n.children), nil }

// at finds the node of a path; all paths are relative and clean.
func (d *crashDisk) at(path string) *node {
	n := d.root
	for part := range strings.SplitSeq(path, "/") {
		if part != "." {
			if n == nil {
				return nil
			}
			n = n.children[part]
		}
	}
	return n
}

func (d *crashDisk) in(path string) (folder *node, name string) {
	return d.at(filepath.Dir(path)), filepath.Base(path)
}

// do runs one operation.
func (d *crashDisk) do(op string, f func() error) error {
	if err := d.before(op); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return f()
}

func (d *crashDisk) MkdirAll(dir string) error {
	return d.do("mkdir", func() error {
		n := d.root
		for part := range strings.SplitSeq(dir, "/") {
			if n.children[part] == nil {
				n.change(change{come: part, n: newFolder()})
			}
			n.sync()
			n = n.children[part]
		}
		return nil
	})
}

func (d *crashDisk) Create(path string) (file, error) {
	made := &node{}
	err := d.do("create", func() error {
		folder, name := d.in(path)
		if folder == nil {
			return fs.ErrNotExist
		}
		if folder.children[name] != nil {
			return fs.ErrExist
		}
		folder.change(change{come: name, n: made})
		return nil
	})
	return &crashFile{d, made}, err
}

func (d *crashDisk) Cut(path string, size int64) error {
	return d.do("cut", func() error {
		n := d.at(path)
		if n == nil {
			return fs.ErrNotExist
		}
		n.data = slices.Clone(n.data[:size])
		n.synced = len(n.data)
		return nil
	})
}

func (d *crashDisk) Rename(from, to string) error {
	return d.do("rename", func() error {
		folder, old := d.in(from)
		if folder == nil || folder.children[old] == nil {
			return fs.ErrNotExist
		}
		folder.change(change{gone: old, come: filepath.Base(to), n: folder.children[old]})
		return nil
	})
}

func (d *crashDisk) Remove(path string) error {
	return d.do("remove", func() error {
		folder, name := d.in(path)
		if folder == nil || folder.children[name] == nil {
			return fs.ErrNotExist
		}
		if len(folder.children[name].children) > 0 {
			return syscall.ENOTEMPTY
		}
		folder.change(change{gone: name})
		return nil
	})
}

func (d *crashDisk) ReadFile(path string) (b []byte, err error) {
	err = d.do("read", func() error {
		n := d.at(path)
		if n == nil {
			return fs.ErrNotExist
		}
		b = slices.Clone(n.data)
		return nil
	})
	return b, err
}

func (d *crashDisk) List(dir string) (entries []entry, err error) {
	err = d.do("list", func() error {
		n := d.at(dir)
		if n == nil {
			return fs.ErrNotExist
		}
		for _, name := range slices.Sorted(maps.Keys(n.children)) {
			c := n.children[name]
			entries = append(entries, entry{name: name, size: int64(len(c.data)), dir: c.children != nil})
		}
		return nil
	})
	return entries, err
}

func (d *crashDisk) SyncDir(dir string) error {
	return d.do("syncdir", func() error {
		n := d.at(dir)
		if n == nil {
			return fs.ErrNotExist
		}
		n.sync()
		return nil
	})
}

type crashFile struct {
	disk *crashDisk
	n    *node
}

func (f *crashFile) Write(b []byte) (int, error) {
	err := f.disk.before("write")
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err != nil {
		b = b[:len(b)/2] // a failed write may have written some
	} else if room := f.disk.room(); room < int64(len(b)) {
		b, err = b[:room], syscall.ENOSPC
	}
	f.n.data = append(f.n.data, b...)
	return len(b), err
}

// room is called with the lock.
func (d *crashDisk) room() int64 {
	if d.quota == 0 {
		return 1 << 40
	}
	return max(0, d.quota-d.root.size())
}

func (n *node) size() int64 {
	total := int64(len(n.data))
	for _, c := range n.children {
		total += c.size()
	}
	return total
}

func (d *crashDisk) setQuota(quota int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quota = quota
}

func (f *crashFile) Datasync() error {
	// The device takes its time, in which others run: what was wrongly
	// acknowledged before the sync has been seen by its caller.
	time.Sleep(100 * time.Microsecond)
	err := f.disk.before("sync")
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	switch {
	case err != nil:
		f.n.damaged = true
	case !f.n.damaged:
		f.n.synced = len(f.n.data)
	}
	return err
}

func (f *crashFile) Close() error { return f.disk.before("close") }

// crash is what a power cut now would leave.
func (d *crashDisk) crash(random *rand.Rand) *crashDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newCrashDisk()
	after.root = d.root.crash(random)
	return after
}

// kill is what the end of the process leaves: everything, synced or not. A power
// cut may still follow.
func (d *crashDisk) kill() *crashDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newCrashDisk()
	after.root = d.root.clone(map[*node]*node{})
	return after
}

func (n *node) clone(known map[*node]*node) *node {
	if n == nil || known[n] != nil {
		return known[n]
	}
	c := &node{data: slices.Clone(n.data), synced: n.synced, damaged: n.damaged}
	known[n] = c
	if n.children == nil {
		return c
	}
	c.children, c.stable = map[string]*node{}, map[string]*node{}
	for name, child := range n.children {
		c.children[name] = child.clone(known)
	}
	for name, child := range n.stable {
		c.stable[name] = child.clone(known)
	}
	for _, p := range n.pending {
		c.pending = append(c.pending, change{p.gone, p.come, p.n.clone(known)})
	}
	return c
}

const sector = 512

func (n *node) crash(random *rand.Rand) *node {
	if n.children == nil {
		return (&node{data: n.torn(random)}).settled()
	}
	left := maps.Clone(n.stable)
	for _, c := range n.pending[:random.IntN(len(n.pending)+1)] {
		c.do(left)
	}
	after := newFolder()
	for _, name := range slices.Sorted(maps.Keys(left)) {
		after.children[name] = left[name].crash(random)
	}
	after.sync()
	return after
}

func (n *node) settled() *node { n.synced = len(n.data); return n }

// torn is the synced part and some sectors of the rest, in any order.
func (n *node) torn(random *rand.Rand) []byte {
	data := slices.Clone(n.data[:n.synced+random.IntN(len(n.data)-n.synced+1)])
	for start := n.synced; start < len(data); {
		end := min(len(data), (start/sector+1)*sector)
		switch random.IntN(4) {
		case 0:
			clear(data[start:end])
		case 1:
			for i := start; i < end; i++ {
				data[i] = byte(random.Uint32())
			}
		}
		start = end
	}
	return data
}
