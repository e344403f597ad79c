package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/internal/ad"
)

// Bounds of an uploaded image. Pixels are counted over all frames and before
// anything is decoded: a header of a few bytes may claim gigabytes.
const (
	maxUpload      = 2 << 20    // bytes, as sent
	maxImageBytes  = 150 * 1024 // as stored and served
	maxImageSide   = 4096
	maxImagePixels = 8 << 20
	maxImageFrames = 50
)

// picture is an image that we encoded ourselves: what came in is never stored,
// so no metadata, trailing archive or script inside it survives.
type picture struct {
	ad.Image
	Width, Height int
	data          []byte
}

// imageError is a field error of the upload.
func imageError(code, format string, args ...any) error {
	return ad.Invalid{{Field: "image", Code: code, Message: fmt.Sprintf(format, args...)}}
}

// readPicture decodes and encodes an upload again. The content decides what it
// is; names and declared types are not looked at. Errors are [ad.Invalid].
func readPicture(r io.Reader) (picture, error) {
	upload, err := io.ReadAll(io.LimitReader(r, maxUpload+1))
	switch {
	case err != nil:
		return picture{}, imageError("unreadable", "the upload broke off")
	case len(upload) == 0:
		return picture{}, imageError("required", "choose an image")
	case len(upload) > maxUpload:
		return picture{}, imageError("too_large", "the file is larger than %d MB", maxUpload>>20)
	}
	var p picture
	switch {
	case bytes.HasPrefix(upload, []byte("\x89PNG\r\n\x1a\n")):
		p, err = readPNG(upload)
	case bytes.HasPrefix(upload, []byte("\xff\xd8\xff")):
		p, err = readJPEG(upload)
	case bytes.HasPrefix(upload, []byte("GIF87a")), bytes.HasPrefix(upload, []byte("GIF89a")):
		p, err = readGIF(upload)
	default:
		return picture{}, imageError("unsupported", "use a PNG, JPEG or GIF image")
	}
	if err != nil {
		return picture{}, err
	}
	if len(p.data) > maxImageBytes {
		return picture{}, imageError("too_large", "the image takes %d KB after cleaning; at most %d KB are served", (len(p.data)+1023)/1024, maxImageBytes/1024)
	}
	sum := sha256.Sum256(p.data)
	p.SHA256, p.Bytes = hex.EncodeToString(sum[:]), int64(len(p.data))
	return p, nil
}

func checkSize(c image.Config, err error, frames int) error {
	switch {
	case err != nil:
		return imageError("corrupt", "the image is damaged")
	case c.Width < 1 || c.Height < 1 || c.Width > maxImageSide || c.Height > maxImageSide:
		return imageError("out_of_range", "the image is %d × %d; at most %d × %d is accepted", c.Width, c.Height, maxImageSide, maxImageSide)
	case c.Width*c.Height*frames > maxImagePixels:
		return imageError("out_of_range", "the image has too many pixels; at most %d million in all frames are accepted", maxImagePixels>>20)
	}
	return nil
}

func readPNG(upload []byte) (picture, error) {
	config, err := png.DecodeConfig(bytes.NewReader(upload))
	if err := checkSize(config, err, 1); err != nil {
		return picture{}, err
	}
	if animatedPNG(upload) {
		return picture{}, imageError("unsupported", "animated PNG is not supported; use a GIF or a still image")
	}
	decoded, err := png.Decode(bytes.NewReader(upload))
	if err != nil {
		return picture{}, imageError("corrupt", "the image is damaged")
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, decoded); err != nil {
		return picture{}, fmt.Errorf("encode png: %w", err)
	}
	return picture{Image: ad.Image{Type: "image/png"}, Width: config.Width, Height: config.Height, data: out.Bytes()}, nil
}

// animatedPNG looks for the acTL chunk, which stands before the first IDAT.
func animatedPNG(upload []byte) bool {
	for rest := upload[8:]; len(rest) >= 12; {
		length, kind := uint64(binary.BigEndian.Uint32(rest)), string(rest[4:8])
		if kind == "acTL" {
			return true
		}
		if kind == "IDAT" || length+12 > uint64(len(rest)) {
			return false
		}
		rest = rest[length+12:]
	}
	return false
}

func readJPEG(upload []byte) (picture, error) {
	config, err := jpeg.DecodeConfig(bytes.NewReader(upload))
	if err := checkSize(config, err, 1); err != nil {
		return picture{}, err
	}
	decoded, err := jpeg.Decode(bytes.NewReader(upload))
	if err != nil {
		return picture{}, imageError("corrupt", "the image is damaged")
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, decoded, &jpeg.Options{Quality: 88}); err != nil {
		return picture{}, fmt.Errorf("encode jpeg: %w", err)
	}
	return picture{Image: ad.Image{Type: "image/jpeg"}, Width: config.Width, Height: config.Height, data: out.Bytes()}, nil
}

func readGIF(upload []byte) (picture, error) {
	config, err := gif.DecodeConfig(bytes.NewReader(upload))
	if err := checkSize(config, err, 1); err != nil {
		return picture{}, err
	}
	frames, ok := gifFrames(upload)
	if !ok {
		return picture{}, imageError("corrupt", "the image is damaged")
	}
	if frames > maxImageFrames {
		return picture{}, imageError("out_of_range", "the GIF has %d frames; at most %d are accepted", frames, maxImageFrames)
	}
	if err := checkSize(config, nil, frames); err != nil {
		return picture{}, err
	}
	decoded, err := gif.DecodeAll(bytes.NewReader(upload))
	if err != nil {
		return picture{}, imageError("corrupt", "the image is damaged")
	}
	var out bytes.Buffer
	if err := gif.EncodeAll(&out, decoded); err != nil {
		return picture{}, imageError("corrupt", "the image is damaged")
	}
	return picture{Image: ad.Image{Type: "image/gif"}, Width: config.Width, Height: config.Height, data: out.Bytes()}, nil
}

// gifFrames counts the frames of a GIF without decompressing one (GIF89a,
// sections 18 to 26); false when the blocks do not add up.
func gifFrames(b []byte) (frames int, ok bool) {
	if len(b) < 13 {
		return 0, false
	}
	colours := func(flags byte) int {
		if flags&0x80 == 0 {
			return 0
		}
		return 3 << (flags&7 + 1)
	}
	at := 13 + colours(b[10])
	blocks := func() bool { // sub-blocks up to the terminator
		for at < len(b) {
			size := int(b[at])
			at += 1 + size
			if size == 0 {
				return true
			}
		}
		return false
	}
	for at < len(b) {
		switch b[at] {
		case 0x21: // extension: label, sub-blocks
			at += 2
		case 0x2c: // image: descriptor, colour table, code size, sub-blocks
			if at+10 > len(b) {
				return 0, false
			}
			frames++
			at += 10 + colours(b[at+9]) + 1
		case 0x3b:
			return frames, frames > 0
		default:
			return 0, false
		}
		if !blocks() {
			return 0, false
		}
	}
	return 0, false
}

// imageKey is the object's key in the bucket.
func imageKey(i ad.Image) string {
	return "assets/" + i.SHA256 + imageExtensions[i.Type]
}

var imageExtensions = map[string]string{"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif"}

// keep puts the picture into the bucket. Its name is its hash, so one that is
// there already is this one.
func (p picture) keep(ctx context.Context, bucket *blob.Bucket) error {
	err := bucket.Upload(ctx, imageKey(p.Image), bytes.NewReader(p.data), &blob.WriterOptions{
		ContentType: p.Type, CacheControl: "public, max-age=31536000, immutable", IfNotExist: true, ContentMD5: nil,
	})
	if err != nil && gcerrors.Code(err) != gcerrors.FailedPrecondition {
		return fmt.Errorf("store the image: %w", err)
	}
	return nil
}

// findPicture reads a stored image by its hash, for creatives that name one they
// uploaded before. Its error is [ad.Invalid] when there is none.
func findPicture(ctx context.Context, bucket *blob.Bucket, sha string) (picture, error) {
	missing := imageError("unknown", "no such image; upload it first")
	if sum, err := hex.DecodeString(sha); err != nil || len(sum) != sha256.Size {
		return picture{}, missing
	}
	for contentType := range imageExtensions {
		i := ad.Image{SHA256: sha, Type: contentType}
		data, err := bucket.ReadAll(ctx, imageKey(i))
		if gcerrors.Code(err) == gcerrors.NotFound {
			continue
		}
		if err != nil {
			return picture{}, fmt.Errorf("read the image: %w", err)
		}
		config, _, err := image.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return picture{}, errors.Join(missing, err)
		}
		i.Bytes = int64(len(data))
		return picture{Image: i, Width: config.Width, Height: config.Height, data: data}, nil
	}
	return picture{}, missing
}
