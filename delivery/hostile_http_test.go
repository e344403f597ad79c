package delivery

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// wire is one raw connection to a server under test.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, address string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &wire{conn, bufio.NewReader(conn)}
}

func (w *wire) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads one response; 0 is a connection closed without one.
func (w *wire) answer(t *testing.T) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// closed tells whether the server has ended the connection, without another byte.
func (w *wire) closed(t *testing.T) bool {
	t.Helper()
	rest, err := io.ReadAll(w.in)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if len(rest) > 0 {
		t.Errorf("more was answered: %.200q", rest)
	}
	return true
}

// patience is what a busy machine may add to an answer; it is well below the read
// timeout, so that an answer given up on is told from one given at once.
const patience = time.Second

const (
	goodGet  = "GET /tag.js HTTP/1.1\r\nHost: ads.example\r\n\r\n"
	postHead = "POST /v1/decisions HTTP/1.1\r\nHost: ads.example\r\n"
	smuggled = "GET /smuggled HTTP/1.1\r\nHost: ads.example\r\n\r\n"
)

// TestHostileHTTP sends what no honest client sends, numbered as in the list of
// hostile inputs. Each is refused at once and its connection closed, so that
// what follows it is never taken for a request, and the server serves on.
func TestHostileHTTP(t *testing.T) {
	t.Parallel()
	address := newEmptyServer(t).listen(t)
	f := func(name, request string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := dial(t, address)
			start := time.Now()
			w.send(t, request)
			status, body := w.answer(t)
			if status < 400 || status > 499 {
				t.Fatalf("status %d, %.100q; want 4xx", status, body)
			}
			if took := time.Since(start); took > patience {
				t.Errorf("answered after %s", took)
			}
			if !strings.HasPrefix(body, `{"error":{"code":"`) || len(body) > 512 {
				t.Errorf("body %.600q", body)
			}
			if !w.closed(t) {
				t.Error("the connection stays open")
			}
			next := dial(t, address)
			next.send(t, goodGet)
			if status, _ := next.answer(t); status != 200 {
				t.Errorf("the next request: %d", status)
			}
		})
	}
	f("01_length_and_chunked", postHead+"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+smuggled)
	f("01_chunked_and_length", postHead+"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"+smuggled)
	f("01_identity_and_length", postHead+"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"+smuggled)
	f("02_two_lengths", postHead+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "+smuggled)
	f("03_two_codings", postHead+"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+smuggled)
	f("03_unknown_coding", postHead+"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"+smuggled)
	f("04_chunked_on_1.0", "POST /v1/decisions HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+smuggled)
	f("05_chunk_extension_with_lf", postHead+"Transfer-Encoding: chunked\r\n\r\n2;a=b\nx\r\n{}\r\n0\r\n\r\n"+smuggled)
	f("06_chunk_size_overflow", postHead+"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n"+smuggled)
	f("07_length_overflow", postHead+"Content-Length: 21000000000000000000\r\n\r\n"+smuggled)
	f("08_length_negative", postHead+"Content-Length: -1\r\n\r\n"+smuggled)
	f("08_length_plus", postHead+"Content-Length: +2\r\n\r\n{}"+smuggled)
	f("09_space_before_colon", postHead+"Content-Length : 2\r\n\r\n{}"+smuggled)
	f("09_space_in_name", postHead+"Content Length: 2\r\n\r\n"+smuggled)
	f("10_folded_line", "GET /tag.js HTTP/1.1\r\nHost: ads.example\r\nX-A: 1\r\n 2\r\n\r\n"+smuggled)
	f("10_folded_by_tab", "GET /tag.js HTTP/1.1\r\nHost: ads.example\r\nX-A: 1\r\n\t2\r\n\r\n"+smuggled)
	f("11_empty_name", "GET /tag.js HTTP/1.1\r\nHost: ads.example\r\n: 1\r\n\r\n"+smuggled)
	f("12_bare_cr", "GET /tag.js HTTP/1.1\r\nHost: ads.example\r\nX-A: 1\r2\r\n\r\n"+smuggled)
	f("12_nul_in_value", "GET /tag.js HTTP/1.1\r\nHost: ads.example\r\nX-A: \x00\r\n\r\n"+smuggled)
	f("12_nul_in_target", "GET /tag.js\x00 HTTP/1.1\r\nHost: ads.example\r\n\r\n"+smuggled)
	f("12_bare_lf", "GET /tag.js HTTP/1.1\nHost: ads.example\n\n"+smuggled)
	f("13_no_host", "GET /tag.js HTTP/1.1\r\n\r\n"+smuggled)
	f("13_two_hosts", "GET /tag.js HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"+smuggled)
	f("14_other_host", "GET http://other.example/tag.js HTTP/1.1\r\nHost: ads.example\r\n\r\n"+smuggled)
	f("14_authority_form", "CONNECT ads.example:443 HTTP/1.1\r\nHost: ads.example:443\r\n\r\n"+smuggled)
	f("15_long_header", "GET /tag.js HTTP/1.1\r\nHost: ads.example\r\nX-A: "+strings.Repeat("a", 9<<10)+"\r\n\r\n"+smuggled)
	f("15_many_headers", "GET /tag.js HTTP/1.1\r\nHost: ads.example\r\n"+strings.Repeat("A:b\r\n", 1000)+"\r\n"+smuggled)
	f("16_http_9.9", "GET /tag.js HTTP/9.9\r\nHost: ads.example\r\n\r\n"+smuggled)
	f("16_http_2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	f("16_tls_hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
	f("20_body_of_2_mb", postHead+"Content-Length: 2097152\r\n\r\n")
	f("20_chunked_body_of_2_mb", postHead+"Transfer-Encoding: chunked\r\n\r\n"+
		fmt.Sprintf("%x\r\n", 300<<10)+strings.Repeat("x", 300<<10)+"\r\n")
}

// Absolute form is what proxies send: with the host of the Host header it is served.
func TestHostileHTTP14AbsoluteForm(t *testing.T) {
	t.Parallel()
	w := dial(t, newEmptyServer(t).listen(t))
	w.send(t, "GET http://ads.example/tag.js HTTP/1.1\r\nHost: ads.example\r\n\r\n")
	if status, _ := w.answer(t); status != 200 {
		t.Errorf("status %d", status)
	}
}

// Slow requests end at the read timeout, however many bytes still drip in.
func TestHostileHTTP17SlowDrip(t *testing.T) {
	t.Parallel()
	address := newEmptyServer(t).listen(t)
	for name, head := range map[string]string{
		"header": "GET /tag.js HTTP/1.1\r\nX-A: ",
		"body":   postHead + "Content-Length: 1000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := dial(t, address)
			w.send(t, head)
			start := time.Now()
			drip := time.NewTicker(100 * time.Millisecond)
			defer drip.Stop()
			go func() {
				for range drip.C {
					if _, err := io.WriteString(w, "a"); err != nil {
						return
					}
				}
			}()
			status, _ := w.answer(t)
			if took := time.Since(start); took > readTimeout+patience || took < readTimeout/2 {
				t.Errorf("ended after %s, want %s", took, readTimeout)
			}
			if status != 408 {
				t.Errorf("status %d, want 408", status)
			}
		})
	}
}

func TestHostileHTTP18ExpectThenSilence(t *testing.T) {
	t.Parallel()
	w := dial(t, newEmptyServer(t).listen(t))
	w.send(t, postHead+"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	start := time.Now()
	line, err := w.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := w.in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	status, _ := w.answer(t)
	if took := time.Since(start); status != 408 || took > readTimeout+patience {
		t.Errorf("status %d after %s", status, took)
	}

	w = dial(t, newEmptyServer(t).listen(t))
	w.send(t, "GET /tag.js HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if status, _ := w.answer(t); status != 417 || !w.closed(t) {
		t.Errorf("a body that nobody wants: status %d", status)
	}
}

func TestHostileHTTP19Pipeline(t *testing.T) {
	t.Parallel()
	w := dial(t, newEmptyServer(t).listen(t))
	w.send(t, strings.Repeat(goodGet, 100))
	for i := range 100 {
		if status, body := w.answer(t); status != 200 || body != string(tagSource) {
			t.Fatalf("answer %d: status %d", i, status)
		}
	}
}

// A body that never comes is not waited for beyond the timeout.
func TestHostileHTTP20NoBody(t *testing.T) {
	t.Parallel()
	w := dial(t, newEmptyServer(t).listen(t))
	w.send(t, postHead+"Content-Length: 10\r\n\r\n{}")
	start := time.Now()
	status, _ := w.answer(t)
	if took := time.Since(start); status != 408 || took > readTimeout+patience {
		t.Errorf("status %d after %s", status, took)
	}
}

func TestHostileHTTP21Compressed(t *testing.T) {
	t.Parallel()
	address := newEmptyServer(t).listen(t)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := z.Write(make([]byte, 50<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate", "gzip, gzip", "unknown"} {
		for _, body := range []string{bomb.String(), bomb.String()[:100], ""} {
			got := do(t, client(t), "POST", "http://"+address+"/v1/decisions", body, "Content-Encoding: "+encoding)
			if got.Status != 415 {
				t.Errorf("%s of %d bytes: status %d, %s", encoding, len(body), got.Status, got.Body)
			}
		}
	}
}
