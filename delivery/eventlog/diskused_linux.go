package eventlog

import "syscall"

// diskUsed is the share of a folder's file system that is not free for us, 0
// when it does not say.
func diskUsed(dir string) float64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil || s.Blocks == 0 {
		return 0
	}
	return 1 - float64(s.Bavail)/float64(s.Blocks)
}
