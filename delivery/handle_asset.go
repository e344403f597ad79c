package delivery

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/singleflight"
)

// Bounds of the assets held in memory.
const (
	maxAsset       = 2 << 20  // bytes of one
	maxAssets      = 64 << 20 // bytes of all
	maxAssetReads  = 16       // reads from the bucket at a time
	assetReadLimit = 5 * time.Second
)

var (
	errNoAsset   = errors.New("no such asset")
	errAssetBusy = errors.New("too many assets are being read from the bucket")
)

// assets serves creatives' images from the bucket through memory, least
// recently used out first. Names are checksums, so nothing ever goes stale.
type assets struct {
	bucket *blob.Bucket
	reads  chan struct{} // one place per read under way
	flight singleflight.Group

	mu    sync.Mutex
	held  map[string]*list.Element // of *asset
	order list.List                // most recently used first
	bytes int
}

type asset struct {
	name string
	body []byte
}

func newAssets(bucket *blob.Bucket) *assets {
	return &assets{bucket: bucket, reads: make(chan struct{}, maxAssetReads), held: make(map[string]*list.Element)}
}

// handleAsset answers GET /assets/{sha256}.{png|jpg|gif}.
func (s *server) handleAsset(ctx *fasthttp.RequestCtx, name string) {
	kind := assetType(name)
	if kind == "" {
		fail(ctx, fasthttp.StatusNotFound, "not_found", "an asset's name is its sha256 and .png, .jpg or .gif")
		return
	}
	body, err := s.assets.get(strings.Clone(name))
	switch {
	case errors.Is(err, errNoAsset):
		fail(ctx, fasthttp.StatusNotFound, "not_found", "there is no such asset")
		return
	case err != nil:
		s.metrics.rejected("asset_unavailable")
		fail(ctx, fasthttp.StatusServiceUnavailable, "unavailable", "the asset cannot be read at the moment, try again")
		return
	}
	h := &ctx.Response.Header
	h.SetContentType(kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	ctx.Response.SetBodyRaw(body)
}

// assetType is the media type that a well-formed name promises, "" for other names.
func assetType(name string) string {
	sum, extension, _ := strings.Cut(name, ".")
	if len(sum) != 2*sha256.Size || strings.Trim(sum, "0123456789abcdef") != "" {
		return ""
	}
	switch extension {
	case "png":
		return "image/png"
	case "jpg":
		return "image/jpeg"
	case "gif":
		return "image/gif"
	}
	return ""
}

// get returns an asset's bytes, shared with other requests: read only.
func (a *assets) get(name string) ([]byte, error) {
	if body := a.cached(name); body != nil {
		return body, nil
	}
	body, err, _ := a.flight.Do(name, func() (any, error) {
		select {
		case a.reads <- struct{}{}:
			defer func() { <-a.reads }()
		default:
			return nil, errAssetBusy
		}
		body, err := a.read(name)
		if err != nil {
			return nil, err
		}
		a.keep(&asset{name, body})
		return body, nil
	})
	if err != nil {
		return nil, err
	}
	return body.([]byte), nil
}

func (a *assets) cached(name string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	element := a.held[name]
	if element == nil {
		return nil
	}
	a.order.MoveToFront(element)
	return element.Value.(*asset).body
}

func (a *assets) keep(new *asset) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held[new.name] != nil {
		return
	}
	a.held[new.name] = a.order.PushFront(new)
	for a.bytes += len(new.body); a.bytes > maxAssets; {
		oldest := a.order.Remove(a.order.Back()).(*asset)
		delete(a.held, oldest.name)
		a.bytes -= len(oldest.body)
	}
}

// read fetches an asset and checks it against its name, so that a damaged
// object is never kept for a year by a browser.
func (a *assets) read(name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), assetReadLimit)
	defer cancel()
	r, err := a.bucket.NewReader(ctx, "assets/"+name, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, errNoAsset
	}
	if err != nil {
		return nil, fmt.Errorf("asset %s: %w", name, err)
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxAsset+1))
	if err != nil {
		return nil, fmt.Errorf("asset %s: %w", name, err)
	}
	if len(body) > maxAsset {
		return nil, fmt.Errorf("asset %s is larger than %d bytes", name, maxAsset)
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != name[:2*sha256.Size] {
		return nil, fmt.Errorf("asset %s does not have the checksum of its name", name)
	}
	return body, nil
}
