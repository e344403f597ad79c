package delivery

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/delivery/visitor"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// server answers the public port. What it needs of the bank and the log are
// plain functions: all of them may be called from any number of requests, and
// only record waits for anything.
type server struct {
	cfg      Config
	keys     *token.Keys
	visitors *visitor.Reader
	board    *board
	reasons  *reasons
	assets   *assets
	metrics  *metrics
	throttle *telemetry.Throttle

	now     func() time.Time          // bank time
	process func() ulid.ULID          // whose leases these are
	want    func(ad.ID)               // asks the bank for a lease, at its leisure
	record  func(*event.Record) error // returns when the record is as durable as its type asks

	scratches sync.Pool    // of *scratch
	scannedAt atomic.Int64 // bank time of the last eligible scan, Unix microseconds
	draining  atomic.Bool
}

// Limits of the public port. A request that takes longer or more is not one of ours.
const (
	readTimeout  = 2 * time.Second
	writeTimeout = 2 * time.Second
	idleTimeout  = 75 * time.Second // longer than balancers keep a connection, so that they close first
	maxHeadBytes = 8 << 10          // request line and headers
	maxBodyBytes = 256 << 10
)

// http is the public port's server around s.
func (s *server) http() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:               s.handle,
		ErrorHandler:          s.unread,
		ExpectHandler:         expect,
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		ReadBufferSize:        maxHeadBytes,
		MaxRequestBodySize:    maxBodyBytes,
		Concurrency:           s.cfg.Concurrency,
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		CloseOnShutdown:       true,
		SecureErrorLogMessage: true,

		DisablePreParseMultipartForm: true,
		// What goes wrong with a connection is counted by class (see unread); the
		// library's own lines would repeat up to 8 KB of what was sent.
		Logger: silent{},
	}
}

// expect accepts a body announced with Expect: 100-continue where one is wanted.
func expect(ctx *fasthttp.RequestCtx) int {
	if ctx.IsPost() && guard(&ctx.Request.Header) == nil {
		return fasthttp.StatusContinue
	}
	return fasthttp.StatusExpectationFailed
}

type silent struct{}

func (silent) Printf(string, ...any) {}
