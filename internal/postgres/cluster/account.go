package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// An account is the user that the server runs as; the zero value is this process's own user.
type account struct {
	foreign  bool
	uid, gid int
}

// serverAccount is "nobody" for root, since Postgres refuses to run as root, and else the caller.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return account{}, fmt.Errorf("root may not run Postgres, and there is no user nobody to run it as: %w", err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		return account{}, fmt.Errorf("user nobody has the odd id %q", nobody.Uid)
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		return account{}, fmt.Errorf("user nobody has the odd group %q", nobody.Gid)
	}
	return account{foreign: true, uid: uid, gid: gid}, nil
}

// attributes starts a process as this account, in a process group of its own: a Ctrl-C meant for the
// parent must not reach the server before the parent has finished with it.
func (a account) attributes(data string) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if a.foreign {
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
		if !a.reaches(data) {
			letPass(attributes)
		}
	}
	return attributes
}

// give hands a file or folder over.
func (a account) give(path string) error {
	if !a.foreign {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// reaches tells whether the account may walk down to path: root's home, for one, is closed to others.
func (a account) reaches(path string) bool {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		stat := info.Sys().(*syscall.Stat_t)
		search := os.FileMode(0o001)
		switch {
		case int(stat.Uid) == a.uid:
			search = 0o100
		case int(stat.Gid) == a.gid:
			search = 0o010
		}
		if info.Mode()&search == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// owns tells whether path itself is this account's or the caller's, and nobody else may write there.
func (a account) owns(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return fmt.Errorf("%s is in the way: it is no folder", path)
	}
	if uid := int(stat.Uid); uid != a.uid && uid != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d", path, uid)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return errors.New(path + " may be written by other users")
	}
	return nil
}
