// Package content decodes HTTP content codings (RFC 9110 section 8.4) within limits of
// memory, work and time.
package content

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/textproto"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// ErrTooLarge means that the decoded content is larger than the limit.
var ErrTooLarge = errors.New("decoded content is over the limit")

// ErrNoRoom means that reserve refused the bytes that the decoded content needs.
var ErrNoRoom = errors.New("no room for the decoded content")

// errLayer means that the output of an inner coding, which is still coded, is over its limit.
var errLayer = errors.New("the output of an inner coding is over the limit")

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
			if len(list) > maxCodings {
				return list // Decode refuses so many
			}
		}
	}
	return list
}

// Decode undoes codings, in the order of Codings, on raw. Where the result would be
// larger than limit bytes it returns the first limit bytes and ErrTooLarge. Where raw breaks
// off or is not so coded it returns what it could decode, and an error.
//
// Every coding is limited: what an inner one yields to innerLimit. So the whole work is at
// most that of as many bodies as there are codings. Decode stops when ctx ends. It asks
// reserve for the bytes of the result before it allocates them, and returns ErrNoRoom where
// that refuses; the caller gives back what was reserved. Besides these each decoder holds a
// window that is not much larger than the limit, and its tables (at most 4 MiB).
func Decode(ctx context.Context, codings []string, raw []byte, limit int64, reserve func(bytes int64) bool) ([]byte, error) {
	if len(codings) > maxCodings {
		return nil, fmt.Errorf("%d content codings or more: at most %d are decoded", maxCodings+1, maxCodings)
	}
	var r io.Reader = &source{ctx, raw}
	for i := len(codings) - 1; i >= 0; i-- {
		most := limit
		if i > 0 {
			most = innerLimit(limit)
		}
		next, done, err := reader(codings[i], r, most)
		if err != nil {
			return nil, fmt.Errorf("content coding %q: %w", codings[i], err)
		}
		defer done()
		if r = next; i > 0 {
			r = &limited{r, most}
		}
	}
	out, err := readAll(ctx, r, limit, reserve)
	if err != nil && err != ErrTooLarge {
		err = fmt.Errorf("content coding %q: %w", strings.Join(codings, ", "), err)
	}
	return out, err
}

// innerLimit is how many bytes an inner coding may yield where the content is limited to
// limit: data that is still coded is rarely larger than what it stands for.
func innerLimit(limit int64) int64 {
	if limit > (math.MaxInt64-64<<10)/2 {
		return math.MaxInt64
	}
	return 2*limit + 64<<10
}

// source reads b while ctx has not ended.
type source struct {
	ctx context.Context
	b   []byte
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b)
	s.b = s.b[n:]
	return n, nil
}

// limited fails with errLayer where r has more than left bytes.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		n, err = int(l.left), errLayer
	}
	l.left -= int64(n)
	return n, err
}

// readAll reads r to its end, or to the limit.
func readAll(ctx context.Context, r io.Reader, limit int64, reserve func(bytes int64) bool) ([]byte, error) {
	const first = 4 << 10
	var out []byte
	idle := 0
	for {
		if len(out) == cap(out) {
			size := max(2*int64(cap(out)), first)
			if size > limit {
				size = max(limit, limit+1) // which may overflow; a byte more says that it is too large
			}
			if !reserve(size - int64(cap(out))) {
				return out, ErrNoRoom
			}
			out = append(make([]byte, 0, size), out...)
		}
		if err := ctx.Err(); err != nil {
			return out, err
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if int64(len(out)) > limit {
			return out[:limit], ErrTooLarge
		}
		if idle++; n > 0 {
			idle = 0
		}
		switch {
		case err == io.EOF:
			return out, nil
		case err != nil:
			return out, err
		case idle > 100:
			return out, io.ErrNoProgress
		}
	}
}

// reader returns the decoder of one coding, whose output is going to be limited.
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
		small, err := brotliWindow(r, limit)
		return brotli.NewReader(small), nop, err
	case "zstd":
		// RFC 9659: a decoder for HTTP need not support windows over 8 MB.
		small, err := zstdWindow(r, limit)
		if err != nil {
			return nil, nil, err
		}
		z, err := zstd.NewReader(small, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderMaxMemory(uint64(max(limit, maxZstdWindow))))
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
