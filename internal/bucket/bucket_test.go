package bucket

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
)

func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(address, want string) {
		t.Helper()
		b, err := Open(t.Context(), address)
		if err == nil {
			b.Close()
			t.Errorf("%q opened", address)
			return
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %q, want one line with %q", address, err, want)
		}
	}
	f("", "no address given")
	f("/var/lib/bucket", "is no address")
	f("file://", "is no address")
	f("s3:// name", "is no address")
	f("ftp://host/folder", `no driver for "ftp://"`)
	f(fileURL(filepath.Join(dir, "absent", "bucket")), "does not exist")
	f(fileURL(file), "not a directory")
	f(fileURL(filepath.Join(file, "bucket")), "not a directory")
	f(fileURL(dir)+"?colour=blue", "colour")
}

func TestErrorsRepeatNoSecret(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), "s3:// name?secret=hunter2")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	write(t, fileURL(dir), "snapshots/latest.json")
	if got := names(t, filepath.Join(dir, "snapshots")); got != "latest.json" {
		t.Errorf("the folder holds %q: want the object alone, without sidecars", got)
	}
	deep := filepath.Join(t.TempDir(), "a", "b", "bucket")
	write(t, fileURL(deep)+"?create_dir=true", "x")
	if got := names(t, deep); got != "x" {
		t.Errorf("the folder holds %q", got)
	}
}

func write(t *testing.T, address, key string) {
	t.Helper()
	b, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.WriteAll(t.Context(), key, []byte("{}"), nil); err != nil {
		t.Fatal(err)
	}
	if err := Sync(t.Context(), b, key); err != nil {
		t.Errorf("sync: %v", err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestRelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "file://./bucket", "key")
	if got := names(t, "bucket"); got != "key" {
		t.Errorf("the folder holds %q", got)
	}
}

func TestSyncNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	b, err := Open(t.Context(), fileURL(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := Sync(t.Context(), b, "events/none"); err == nil || !strings.Contains(err.Error(), "events/none") {
		t.Errorf("sync of a missing object: %v", err)
	}
	prefixed := blob.PrefixedBucket(b, "a/")
	if err := prefixed.WriteAll(t.Context(), "b/c", []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := Sync(t.Context(), prefixed, "b/c"); err != nil {
		t.Errorf("sync under a prefix: %v", err)
	}
}

func TestSyncLeavesOtherBucketsAlone(t *testing.T) {
	t.Parallel()
	b := memblob.OpenBucket(nil)
	defer b.Close()
	if err := Sync(context.Background(), b, "anything"); err != nil {
		t.Errorf("sync: %v", err)
	}
}
