package content

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/message"
)

// Few bodies are decoded at a time, and one that finds no decoder free waits for it.
func TestFewBodiesAreDecodedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var coded bytes.Buffer
		w := gzip.NewWriter(&coded)
		w.Write([]byte("body"))
		w.Close()
		pool := capture.NewPool(1 << 20)
		d := NewDecoder(t.Context(), pool, 1<<10)
		require.Equal(t, min(runtime.GOMAXPROCS(0), 4), cap(d.slots))
		for range cap(d.slots) {
			d.slots <- struct{}{}
		}
		var buf capture.Buffer
		buf.Init(pool, 1<<10)
		m := &message.Message{Header: http.Header{"Content-Encoding": {"gzip"}}}
		done := false
		go func() {
			assert.NoError(t, d.Decode(m, coded.Bytes(), &buf))
			done = true
		}()
		synctest.Wait()
		assert.False(t, done)
		<-d.slots
		synctest.Wait()
		assert.True(t, done)
		assert.Equal(t, "body", string(m.Body))
	})
}
