package main

import (
	"encoding/gob"
	"fmt"
	"os"

	"github.com/valyala/fasthttp"
)

// answer is what our server said to one request: the yardstick repeats it.
type answer struct {
	Status      int
	ContentType string
	Headers     [][2]string
	Body        []byte
}

// bare serves recorded answers: `bench bare ADDRESS FILE`. Requests name theirs
// by their position, ?n=, which our server ignores. Beyond that look-up it does
// what any fasthttp server must, so that the difference is what we add.
func bare(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: bench bare ADDRESS FILE")
	}
	file, err := os.Open(args[1])
	if err != nil {
		return err
	}
	defer file.Close()
	var answers []answer
	if err := gob.NewDecoder(file).Decode(&answers); err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	server := &fasthttp.Server{
		NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			n, err := 0, error(nil)
			if len(answers) > 1 { // else it is the answer to everything
				n, err = ctx.QueryArgs().GetUint("n")
			}
			if err != nil || n >= len(answers) {
				ctx.SetStatusCode(fasthttp.StatusNotFound)
				return
			}
			a := &answers[n]
			ctx.SetStatusCode(a.Status)
			ctx.SetContentType(a.ContentType)
			for _, header := range a.Headers {
				ctx.Response.Header.Set(header[0], header[1])
			}
			ctx.SetBody(a.Body)
		},
	}
	return server.ListenAndServe(args[0])
}
