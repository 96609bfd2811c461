// Package content decodes HTTP content codings (RFC 9110 section 8.4) within a limit.
package content

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// ErrTooLarge means that the decoded content is larger than the limit.
var ErrTooLarge = errors.New("decoded content is over the limit")

// maxCodings is how many codings may be stacked.
const maxCodings = 3

// Codings lists the codings of Content-Encoding field values in the order in which
// they were applied, identity left out.
func Codings(values []string) []string {
	var list []string
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.ToLower(textproto.TrimString(part)); part != "" && part != "identity" {
				list = append(list, part)
			}
		}
	}
	return list
}

// Decode undoes codings, in the order of Codings, on raw. Where the result would be
// larger than limit bytes it returns the first limit bytes and ErrTooLarge. Where raw breaks
// off or is not so coded it returns what it could decode, and an error. At no time
// does it hold much more than the limit.
func Decode(codings []string, raw []byte, limit int64) ([]byte, error) {
	if len(codings) > maxCodings {
		return nil, fmt.Errorf("%d content codings: at most %d are decoded", len(codings), maxCodings)
	}
	var r io.Reader = bytes.NewReader(raw)
	for i := len(codings) - 1; i >= 0; i-- {
		next, done, err := reader(codings[i], r, limit)
		if err != nil {
			return nil, fmt.Errorf("content coding %q: %w", codings[i], err)
		}
		defer done()
		r = next
	}
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(r, max(limit, limit+1))) // which may overflow
	switch {
	case n > limit:
		return out.Bytes()[:limit], ErrTooLarge
	case err != nil:
		return out.Bytes(), fmt.Errorf("content coding %q: %w", strings.Join(codings, ", "), err)
	}
	return out.Bytes(), nil
}

func reader(coding string, r io.Reader, limit int64) (io.Reader, func(), error) {
	nop := func() {}
	switch coding {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(r)
		return z, nop, err
	case "deflate":
		z, err := deflate(r)
		return z, nop, err
	case "br":
		return brotli.NewReader(r), nop, nil
	case "zstd":
		// RFC 9659: a decoder for HTTP need not support windows over 8 MB.
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(uint64(max(limit, 8<<20))))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return nil, nil, errors.New("not supported")
}

// deflate reads the zlib format, which is what the coding means (RFC 9110 section
// 8.4.1.2), or bare deflate data, which is what some servers send.
func deflate(r io.Reader) (io.Reader, error) {
	head, err := io.ReadAll(io.LimitReader(r, 2))
	if err != nil {
		return nil, err
	}
	r = io.MultiReader(bytes.NewReader(head), r)
	if len(head) == 2 && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}
