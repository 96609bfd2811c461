package capture_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/goshadow/shadow/internal/capture"
)

func BenchmarkBufferWrite(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		data := text(size)
		for name, announced := range map[string]int{"announced": 1, "unannounced": 0} {
			b.Run(fmt.Sprintf("%dK/%s", size>>10, name), func(b *testing.B) {
				pool := capture.NewPool(1 << 30)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					var buf capture.Buffer
					buf.Init(pool, 1<<20)
					for at := 0; at < size; at += 32 << 10 {
						end := min(at+32<<10, size)
						buf.Write(data[at:end], int64(announced*(size-end)))
					}
					buf.Release()
				}
			})
		}
		b.Run(fmt.Sprintf("%dK/copy", size>>10), func(b *testing.B) { // the floor
			dst := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				copy(dst, data)
			}
		})
	}
}

func BenchmarkBufferOverTheLimit(b *testing.B) {
	data := text(64 << 10)
	pool := capture.NewPool(1 << 30)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var buf capture.Buffer
		buf.Init(pool, 1<<10)
		buf.Write(data, 0)
		buf.Release()
	}
}

func BenchmarkWriter(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		data := text(size)
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			pool := capture.NewPool(1 << 30)
			dst := &nullWriter{http.Header{"Content-Type": {"application/json"}, "Etag": {`"1"`}}}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				var w capture.Writer
				w.Init(dst, "GET", pool, 1<<20)
				_, _ = w.Wrap().Write(data)
				resp := w.Stop()
				resp.Body.Release()
			}
		})
	}
}

type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) WriteHeader(int)             {}
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) Flush()                      {}

func BenchmarkBody(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			pool := capture.NewPool(1 << 30)
			p := make([]byte, 32<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				var body capture.Body
				body.Init(&endless{}, int64(size), pool, 1<<20)
				for left := size; left > 0; {
					n, _ := body.Read(p[:min(left, len(p))])
					left -= n
				}
				buf, _ := body.Stop()
				buf.Release()
			}
		})
	}
}

type endless struct{ io.Closer }

func (*endless) Read(p []byte) (int, error) { return len(p), nil }
