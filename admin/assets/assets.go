// Package assets holds the console's script and style sheet.
//
// They are written in src, bundled with what they take from npm (Tabler, htmx,
// ECharts) into dist by the Makefile, and embedded from there. The bundle is not
// committed: a binary built without it says so when it starts.
package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed all:dist
var dist embed.FS

//go:embed src/logo.svg
var logo []byte

// Prefix is the path under which [Files] is served.
const Prefix = "/static/"

// ErrMissing reports a binary that was built without the bundle.
var ErrMissing = errors.New("the console's bundle is missing: build with `make build`, or run `make run`")

// Files serves the bundle from memory, compressed once.
type Files struct {
	files map[string]file
}

type file struct {
	contentType string
	plain       []byte
	zipped      []byte
	version     string // first hex digits of the SHA-256 of plain
}

// Load reads the embedded bundle; its error wraps [ErrMissing] when a part is not there.
func Load() (*Files, error) {
	bundle, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	return load(bundle)
}

func load(bundle fs.FS) (*Files, error) {
	f := &Files{files: map[string]file{"logo.svg": newFile("image/svg+xml", logo)}}
	types := map[string]string{"console.js": "text/javascript; charset=utf-8", "console.css": "text/css; charset=utf-8"}
	for name, contentType := range types {
		data, err := fs.ReadFile(bundle, name)
		if err != nil {
			return nil, fmt.Errorf("%w (%s)", ErrMissing, name)
		}
		f.files[name] = newFile(contentType, data)
	}
	return f, nil
}

func newFile(contentType string, data []byte) file {
	sum := sha256.Sum256(data)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped) // writing to memory cannot fail
	_, _ = w.Write(data)
	_ = w.Close()
	return file{contentType: contentType, plain: data, zipped: zipped.Bytes(), version: hex.EncodeToString(sum[:6])}
}

// URL is the address of a file of the bundle. It changes with the content, so
// browsers may keep what they have for good.
func (f *Files) URL(name string) string {
	return Prefix + name + "?v=" + f.files[name].version
}

// ServeHTTP answers GET [Prefix]name.
func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := f.files[path.Base(r.URL.Path)]
	if !ok || path.Dir(r.URL.Path)+"/" != Prefix {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", file.contentType)
	header.Set("ETag", `"`+file.version+`"`)
	header.Set("Vary", "Accept-Encoding")
	header.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == file.version {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	content := file.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		content = file.zipped
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
