package fire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, name string) *Shadow {
	t.Helper()
	for _, f := range Faults() {
		if f.Name == name {
			s, err := f.Start()
			require.NoError(t, err)
			return s
		}
	}
	require.Fail(t, "no fault "+name)
	return nil
}

// ask posts to a shadow on the network as a client does that is patient. It returns the
// body of the answer, the first MiB of it, and the error it ends with.
func ask(t *testing.T, ctx context.Context, s *Shadow) ([]byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "POST", s.URL, strings.NewReader("hello"))
	require.NoError(t, err)
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
}

func TestAFaultOnTheNetworkIsWhatItsNameSays(t *testing.T) {
	for name, check := range map[string]func(t *testing.T, body []byte, err error){
		"remote, floods": func(t *testing.T, body []byte, err error) {
			require.NoError(t, err)
			assert.Len(t, body, 1<<20)
		},
		"remote, resets": func(t *testing.T, _ []byte, err error) {
			assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF), "%v", err)
		},
		"remote, broken chunks": func(t *testing.T, body []byte, err error) {
			assert.Equal(t, "hello", string(body))
			assert.ErrorContains(t, err, "chunk")
		},
		"remote, refuses connections": func(t *testing.T, _ []byte, err error) {
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, name)
			defer s.Close()
			body, err := ask(t, t.Context(), s)
			check(t, body, err)
		})
	}
}

// Who waits for one of these waits until it is closed, and then no longer.
func TestAFaultEndsWhenTheShadowIsClosed(t *testing.T) {
	for _, name := range []string{"remote, hangs", "remote, trickles"} {
		t.Run(name, func(t *testing.T) {
			s := start(t, name)
			ended, connected := make(chan error), make(chan struct{})
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				WroteRequest: func(httptrace.WroteRequestInfo) { close(connected) }})
			go func() {
				body, err := ask(t, ctx, s)
				assert.Empty(t, bytes.Trim(body, "\x00x"))
				ended <- err
			}()
			<-connected
			s.Close()
			assert.Error(t, <-ended)
		})
	}
	for _, name := range []string{"hangs", "floods", "trickles"} {
		t.Run(name, func(t *testing.T) {
			s := start(t, name)
			ended := make(chan struct{})
			began := &signal{ResponseWriter: httptest.NewRecorder(), began: make(chan struct{})}
			go func() {
				defer close(ended)
				s.ServeHTTP(began, nil)
			}()
			if name != "hangs" {
				<-began.began
			}
			s.Close()
			<-ended
		})
	}
}

// signal reports the first write and drops all writes.
type signal struct {
	http.ResponseWriter
	began chan struct{}
	wrote bool
}

func (s *signal) Write(p []byte) (int, error) {
	if !s.wrote {
		s.wrote = true
		close(s.began)
	}
	return len(p), nil
}

func TestAHandlerPanicsOrExits(t *testing.T) {
	s := start(t, "panics")
	assert.Panics(t, func() { s.ServeHTTP(nil, nil) })
	s.Close()
	assert.NotPanics(t, func() { s.ServeHTTP(nil, nil) })

	s = start(t, "exits its goroutine")
	defer s.Close()
	returned, ended := false, make(chan struct{})
	go func() {
		defer close(ended)
		s.ServeHTTP(nil, nil)
		returned = true
	}()
	<-ended
	assert.False(t, returned)
}
