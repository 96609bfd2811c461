package shadow_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/goshadow/shadow"
)

func TestSmoke(t *testing.T) {
	v := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"path":%q,"v":%s,"shadow":%q}`, r.URL.Path, s, r.Header.Get("Shadow-Request"))
		})
	}
	cand := httptest.NewServer(v("2"))
	defer cand.Close()
	m, err := shadow.New(shadow.Remote("v2", cand.URL), shadow.WithReporter(shadow.ReporterFunc(func(ctx context.Context, r *shadow.Result) error {
		t.Logf("%s %s %v", r.Outcome, r.Route, r.Err)
		for _, d := range r.Diffs {
			t.Logf("%s %s %q %s %s", d.Path, d.Kind, d.Class, d.Primary, d.Shadow)
		}
		return nil
	})), shadow.WithMethods("GET", "POST"), shadow.WithMasker(shadow.MaskJSON("$.v")))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m.Handler(v("1.0")))
	defer srv.Close()
	for range 3 {
		r, err := http.Get(srv.URL + "/a/12")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	if err := m.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", m.Stats())
}
