package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWithoutFlagsItDemonstratesItselfAndEnds(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))

	text := out.String()
	assert.Contains(t, text, `shadow.route="GET /prices/{}" shadow.method=GET`)
	assert.Contains(t, text, "shadow.paths=[/body/price] count=10")
	assert.Contains(t, text, `shadow.route="GET /currencies"`)
	assert.Contains(t, text, "shadow.paths=[/body/2]")
	assert.NotContains(t, text, "20.00", "values are not logged")

	assert.Equal(t, map[string]int{
		"requests": 40, "answered alike": 23, "answered differently": 15, "not answered by the shadow": 0,
		"not compared": 0, "not copied: method": 2,
	}, ledger(t, text))
}

// ledger reads what printLedger printed, and checks that it adds up.
func ledger(t *testing.T, text string) map[string]int {
	t.Helper()
	lines, sum := map[string]int{}, 0
	for line := range strings.Lines(text) {
		number, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(number); err == nil {
			lines[what] = n
			sum += n
		}
	}
	require.Contains(t, lines, "requests")
	require.Equal(t, sum, 2*lines["requests"], "the lines below the first add up to it:\n%s", text)
	return lines
}

// proxy runs the program with the two URLs until stop is called, which returns what it
// printed and its error.
func proxy(t *testing.T, primary, candidate string) (url string, stop func() (string, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-primary", primary, "-shadow", candidate, "-listen", "127.0.0.1:0"}, write)
		write.Close()
	}()
	out := bufio.NewReader(read)
	first, err := out.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(strings.TrimPrefix(first, "listening on ")), func() (string, error) {
		cancel()
		text, err := io.ReadAll(out)
		require.NoError(t, err)
		return string(text), <-ended
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer secret")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestThePrimaryAnswersAndTheShadowGetsACopyWithoutCredentials(t *testing.T) {
	copies := make(chan *http.Request, 1)
	primary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "primary, "+r.Header.Get("Authorization")+", marked: "+r.Header.Get("Shadow-Request"))
	}))
	defer primary.Close()
	candidate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		copies <- r
		io.WriteString(w, "candidate")
	}))
	defer candidate.Close()

	url, stop := proxy(t, primary.URL, candidate.URL)
	status, body := get(t, url+"/orders/7?full=1")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "primary, Bearer secret, marked: ", body)

	text, err := stop()
	require.NoError(t, err)
	require.Equal(t, 1, ledger(t, text)["answered differently"])
	got := <-copies
	require.Equal(t, "/orders/7?full=1", got.RequestURI)
	require.NotEmpty(t, got.Header.Get("Shadow-Request"))
	require.Empty(t, got.Header.Get("Authorization"))
}

func TestAShadowThatIsDownIsCountedAndNothingElse(t *testing.T) {
	primary := httptest.NewServer(prices(1))
	defer primary.Close()
	down := httptest.NewServer(nil)
	down.Close()

	url, stop := proxy(t, primary.URL, down.URL)
	status, body := get(t, url+"/prices/A-100")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"sku":"A-100","price":"19.99"}`, body)

	text, err := stop()
	require.NoError(t, err)
	require.Equal(t, 1, ledger(t, text)["not answered by the shadow"])
}

func TestRequestsUnderWayAreAnsweredBeforeItEnds(t *testing.T) {
	arrived, finish := make(chan bool), make(chan bool)
	primary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		<-finish
		io.WriteString(w, "late")
	}))
	defer primary.Close()
	candidate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "late")
	}))
	defer candidate.Close()

	url, stop := proxy(t, primary.URL, candidate.URL)
	answer := make(chan string)
	go func() {
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(httptest.NewRequest("GET", url, nil))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		assert.NoError(t, err)
		answer <- string(text)
	}()
	<-arrived
	ended := make(chan string)
	go func() {
		text, err := stop()
		assert.NoError(t, err)
		ended <- text
	}()
	for { // until it has stopped listening
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		conn.Close()
	}
	finish <- true
	require.Equal(t, "late", <-answer)
	require.Equal(t, 1, ledger(t, <-ended)["answered alike"])
}

func TestWhatIsWrongWithTheFlagsIsSaid(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-primary http://a", "go together"},
		{"-shadow http://a", "go together"},
		{"-primary a -shadow http://b -listen 127.0.0.1:0", "-primary"},
		{"-primary http://a -shadow b -listen 127.0.0.1:0", "base URL"},
		{"-primary http://a -shadow http://b -listen nowhere", "nowhere"},
		{"extra", "unexpected argument"},
		{"-unknown", "-unknown"},
	} {
		err := run(t.Context(), strings.Fields(tc.args), io.Discard)
		require.ErrorContains(t, err, tc.want, tc.args)
	}
	require.NoError(t, run(t.Context(), []string{"-help"}, io.Discard))
}
