package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What run prints is all there is to find: five planted differences and no other, and
// the program has its answers from the old vendor.
const printed = `What the program gets, from the old vendor as ever:
  GET /rates/EUR/CHF  200 {"pair":"EURCHF","rate":0.9362,"updated":"2026-03-02T08:00:00Z"}
  GET /rates/EUR/GBP  200 {"pair":"EURGBP","rate":0.8541,"updated":"2026-03-02T08:00:00Z"}
  GET /rates/EUR/JPY  200 {"pair":"EURJPY","rate":163.27,"updated":"2026-03-02T08:00:00Z"}
  GET /rates/EUR/SEK  200 {"pair":"EURSEK","rate":11.0925,"updated":"2026-03-02T08:00:00Z"}
  GET /rates/EUR/HRK  200 {"pair":"EURHRK","rate":7.5345,"updated":"2026-03-02T08:00:00Z"}
  POST /transfers  202

Where the new vendor differs:
  GET /rates/EUR/GBP: /body/pair is "EUR/GBP", was "EURGBP" (changed)
  GET /rates/EUR/HRK: /body/error is "no such currency", was absent (extra)
  GET /rates/EUR/HRK: /body/pair is absent, was "EURHRK" (missing)
  GET /rates/EUR/HRK: /body/rate is absent, was 7.5345 (missing)
  GET /rates/EUR/HRK: /status is 404, was 200 (changed)
  GET /rates/EUR/JPY: /body/rate is "163", was 163.27 (type-changed)

6 calls: 2 alike, 3 different, 0 failed, 0 not compared, 1 not copied (method)
`

func TestItFindsWhereTheNewVendorDiffersAndTheLedgerAddsUp(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))
	require.Empty(t, cmp.Diff(printed, out.String()))
}

func TestTheNewVendorSeesItsOwnCredentialsOnly(t *testing.T) {
	copies := make(chan *http.Request, 1)
	vendor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { copies <- r }))
	defer vendor.Close()
	reported := make(chan *shadow.Result, 1)
	mirror, err := newMirror(vendor.URL, shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
		reported <- r
		return nil
	}))
	require.NoError(t, err)

	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Api-Key"))
	}))
	defer old.Close()
	r, err := http.NewRequest("GET", old.URL+"/rates/EUR/CHF", nil)
	require.NoError(t, err)
	r.Header.Set("X-Api-Key", oldKey)
	r.Header.Set("Authorization", "Bearer of the old vendor too")
	r.Header.Set("Cookie", "session=1")
	resp, err := (&http.Client{Transport: mirror.Transport(&http.Transport{DisableKeepAlives: true})}).Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, oldKey, string(body), "the old vendor gets what it has always got")
	require.NoError(t, mirror.Shutdown(t.Context()))

	got := <-copies
	require.Equal(t, []string{"Bearer " + newToken}, got.Header["Authorization"])
	require.NotContains(t, got.Header, "X-Api-Key")
	require.NotContains(t, got.Header, "Cookie")
	require.NotEmpty(t, got.Header.Get("Shadow-Request"))
	for _, values := range (<-reported).Request.Header {
		require.NotContains(t, values, oldKey, "and no credentials are reported")
		require.NotContains(t, values, "Bearer "+newToken)
	}
}

func TestAnArgumentIsAnError(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"extra"}, io.Discard), "extra")
}
