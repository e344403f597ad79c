package admin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"gocloud.dev/blob/memblob"

	"github.com/hayate-ads/hayate/internal/ad"
)

func testPNG(t testing.TB, w, h int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(x), uint8(y), 90, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func testJPEG(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func testGIF(t testing.TB, w, h, frames int) []byte {
	t.Helper()
	g := &gif.GIF{}
	for i := range frames {
		p := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.Black, color.White})
		p.SetColorIndex(i%w, 0, 1)
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 10)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func wantImageCode(t *testing.T, upload []byte, want string) {
	t.Helper()
	p, err := readPicture(bytes.NewReader(upload))
	var invalid ad.Invalid
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want == "":
	case !errors.As(err, &invalid) || invalid[0].Code != want:
		t.Errorf("readPicture = %d × %d, %v; want code %q", p.Width, p.Height, err, want)
	}
}

func TestPicture(t *testing.T) {
	t.Parallel()
	for name, upload := range map[string][]byte{"image/png": testPNG(t, 300, 250), "image/jpeg": testJPEG(t, 300, 250), "image/gif": testGIF(t, 300, 250, 3)} {
		p, err := readPicture(iotest.OneByteReader(bytes.NewReader(upload)))
		if err != nil || p.Type != name || p.Width != 300 || p.Height != 250 || len(p.SHA256) != 64 || p.Bytes == 0 {
			t.Errorf("%s: %+v, %v", name, p.Image, err)
		}
	}
}

// Hostile input 68: files that are an image and something else.
func TestHostile68Polyglots(t *testing.T) {
	t.Parallel()
	script := []byte(`<script>alert(1)</script>PK` + "\x03\x04")
	comment := append(append([]byte{0xff, 0xfe}, byte((len(script)+2)>>8), byte(len(script)+2)), script...)
	jpg := testJPEG(t, 20, 20)
	png := testPNG(t, 20, 20)
	uploads := map[string][]byte{
		"png+html tail":    append(bytes.Clone(png), script...),
		"png+html chunk":   append(append(bytes.Clone(png[:33]), chunk("tEXt", script)...), png[33:]...),
		"jpeg+zip tail":    append(bytes.Clone(jpg), script...),
		"jpeg+js comment":  append(append(bytes.Clone(jpg[:2]), comment...), jpg[2:]...),
		"gif+js tail":      append(testGIF(t, 20, 20, 1), script...),
		"gif+js extension": withGIFComment(testGIF(t, 20, 20, 1), script),
	}
	for name, upload := range uploads {
		p, err := readPicture(bytes.NewReader(upload))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if bytes.Contains(p.data, []byte("script")) || bytes.Contains(p.data, []byte("PK\x03\x04")) {
			t.Errorf("%s: the stored image still carries the other file", name)
		}
	}
	wantImageCode(t, []byte("GIF89a/*"+strings.Repeat("\x00", 40)+"*/=1;alert(1)"), "out_of_range")
}

func withGIFComment(g, comment []byte) []byte {
	head := 13 + 3<<(g[10]&7+1)
	if g[10]&0x80 == 0 {
		head = 13
	}
	extension := append([]byte{0x21, 0xfe, byte(len(comment))}, append(comment, 0)...)
	return append(append(bytes.Clone(g[:head]), extension...), g[head:]...)
}

// Hostile input 69: SVG in its many disguises is refused as what it is.
func TestHostile69SVG(t *testing.T) {
	t.Parallel()
	for _, upload := range []string{
		`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`,
		`<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>`,
		`<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]><svg>&lol2;</svg>`,
		`<svg><foreignObject><body onload="alert(1)"/></foreignObject></svg>`,
		"<html>", "RIFF\x00\x00\x00\x00WEBP", "BM", "%PDF-1.7",
	} {
		wantImageCode(t, []byte(upload), "unsupported")
	}
}

// Hostile input 70: small files that claim to be large.
func TestHostile70Bombs(t *testing.T) {
	t.Parallel()
	header := func(w, h uint32) []byte {
		ihdr := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
		return append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", append(ihdr, 8, 6, 0, 0, 0))...)
	}
	wantImageCode(t, header(65535, 65535), "out_of_range")
	wantImageCode(t, header(4096, 4096), "out_of_range")
	wantImageCode(t, header(4097, 1), "out_of_range")
	wantImageCode(t, header(0, 10), "corrupt")
	wantImageCode(t, header(1<<31-1, 1<<31-1), "corrupt")
	wantImageCode(t, testGIF(t, 4, 4, 10_000), "out_of_range")
	wantImageCode(t, testGIF(t, 4, 4, maxImageFrames), "")
	wantImageCode(t, testGIF(t, 500, 500, 40), "out_of_range")
	still := testPNG(t, 20, 20)
	apng := append(append(bytes.Clone(still[:33]), chunk("acTL", []byte{0, 0, 0, 2, 0, 0, 0, 0})...), still[33:]...)
	wantImageCode(t, apng, "unsupported")
}

// Hostile input 72: damaged files, and what a camera writes into one.
func TestHostile72Damaged(t *testing.T) {
	t.Parallel()
	jpg, still := testJPEG(t, 200, 200), testPNG(t, 200, 200)
	wantImageCode(t, jpg[:len(jpg)/2], "corrupt")
	wantImageCode(t, still[:len(still)-30], "corrupt")
	broken := bytes.Clone(still)
	broken[len(broken)-20] ^= 1
	wantImageCode(t, broken, "corrupt")
	g := testGIF(t, 50, 50, 2)
	for cut := range len(g) {
		if _, err := readPicture(bytes.NewReader(g[:cut])); err == nil {
			t.Fatalf("a GIF cut at byte %d of %d was accepted", cut, len(g))
		}
	}
	exif := append([]byte{0xff, 0xe1, 0, 26}, "Exif\x00\x00GPSLatitude 35.68N"[:24]...)
	p, err := readPicture(bytes.NewReader(append(append(bytes.Clone(jpg[:2]), exif...), jpg[2:]...)))
	if err != nil || bytes.Contains(p.data, []byte("GPS")) {
		t.Errorf("EXIF survived, or the image was refused: %v", err)
	}
}

// Hostile input 75: too little, too much, and an upload that breaks off.
func TestHostile75Sizes(t *testing.T) {
	t.Parallel()
	wantImageCode(t, nil, "required")
	wantImageCode(t, make([]byte, maxUpload+1), "too_large")
	noise := image.NewRGBA(image.Rect(0, 0, 400, 400))
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(noise.Pix)
	var b bytes.Buffer
	if err := png.Encode(&b, noise); err != nil {
		t.Fatal(err)
	}
	wantImageCode(t, b.Bytes(), "too_large")
	if _, err := readPicture(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(testPNG(t, 9, 9))))); err == nil {
		t.Error("an upload that broke off was accepted")
	}
}

func TestPictureIsStoredOnce(t *testing.T) {
	t.Parallel()
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	p, err := readPicture(bytes.NewReader(testPNG(t, 30, 20)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.keep(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
	}
	got, err := findPicture(t.Context(), bucket, p.SHA256)
	if err != nil || got.Width != 30 || got.Height != 20 || got.Type != "image/png" {
		t.Errorf("findPicture = %+v, %v", got.Image, err)
	}
	for _, sha := range []string{"", "../x", strings.Repeat("0", 64), strings.Repeat("z", 64)} {
		var invalid ad.Invalid
		if _, err := findPicture(t.Context(), bucket, sha); !errors.As(err, &invalid) {
			t.Errorf("findPicture(%q) = %v, want a field error", sha, err)
		}
	}
}

func FuzzPicture(f *testing.F) {
	f.Add(testPNG(f, 8, 8))
	f.Add(testJPEG(f, 8, 8))
	f.Add(testGIF(f, 8, 8, 2))
	f.Fuzz(func(t *testing.T, upload []byte) {
		p, err := readPicture(bytes.NewReader(upload))
		if err == nil && (len(p.data) > maxImageBytes || p.Width > maxImageSide || p.Height > maxImageSide) {
			t.Errorf("accepted %d bytes, %d × %d", len(p.data), p.Width, p.Height)
		}
	})
}
