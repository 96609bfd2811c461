package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultErrorWriter = io.Discard // the stacks of the panics below
	goleak.VerifyTestMain(m)
}

const printed = `chi as a whole         50 requests, 47 alike, 3 different: GET /users/{} /body/active
chi inside its chain   50 requests, 47 alike, 3 different: GET /users/{id} /body/active
gin as a whole         50 requests, 47 alike, 3 different: GET /users/{} /body/active
gin inside its chain   50 requests, 47 alike, 3 different: GET /users/:id /body/active
echo as a whole        50 requests, 47 alike, 3 different: GET /users/{} /body/active
echo inside its chain  50 requests, 47 alike, 3 different: GET /users/:id /body/active
`

func TestEverySetupFindsThePlantedDifferenceAndTheLedgerAddsUp(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))
	require.Empty(t, cmp.Diff(printed, out.String()))
	require.ErrorContains(t, run(t.Context(), []string{"extra"}, io.Discard), "extra")
}

// Routers recycle the state of a request when they have answered it. Under load it is
// in use again, for another request, by the time the copy runs: a copy that got hold
// of it would be routed, and would read its parameters, as that other request.
func TestNoRequestGetsHoldOfAnothersRoutingState(t *testing.T) {
	const requests = 3000
	for _, s := range setups {
		t.Run(s.name, func(t *testing.T) {
			candidate := s.candidate
			s.candidate = func() http.Handler { return freshOnly(candidate()) }
			wrong := make(chan string, requests)
			primary, mirror, err := s.start(
				shadow.WithQueue(requests, 64<<20), // nothing is dropped
				shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}), shadow.WithOverhead(shadow.OverheadOptions{Off: true}),
				shadow.WithConcurrency(64),
				shadow.WithComparator(shadow.ComparatorFunc(func(x *shadow.Exchange) []shadow.Diff {
					for _, body := range [][]byte{x.Primary.Body, x.Shadow.Body} {
						if want := idOf(x.Request.URL.Path); !strings.Contains(string(body), want) {
							wrong <- fmt.Sprintf("asked %s, got %s", x.Request.URL.Path, body)
						}
					}
					return nil
				})))
			require.NoError(t, err)

			var all sync.WaitGroup
			start := make(chan struct{})
			for id := 1; id <= requests; id++ {
				all.Go(func() {
					<-start
					w := httptest.NewRecorder()
					path := fmt.Sprintf("/users/%d", id)
					primary.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
					if !strings.Contains(w.Body.String(), idOf(path)) {
						wrong <- fmt.Sprintf("client asked %s, got %s", path, w.Body)
					}
				})
			}
			close(start)
			all.Wait()
			require.NoError(t, mirror.Shutdown(t.Context()))

			close(wrong)
			for w := range wrong {
				t.Error(w)
			}
			got := mirror.Stats()
			require.EqualValues(t, requests, got.Requests)
			require.EqualValues(t, requests, got.Match, "%+v", got)
		})
	}
}

// freshOnly panics where a copy is routed already.
func freshOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !shadow.IsShadow(r.Context()) || r.Pattern != "" || chi.RouteContext(r.Context()) != nil {
			panic("not fresh")
		}
		h.ServeHTTP(w, r)
	})
}

// idOf is what the answer to a path must hold.
func idOf(path string) string { return `"id":` + strings.TrimPrefix(path, "/users/") + "}" }

// The two adapters of this example must leave the primary as it is, and show the
// mirror what goes over the wire, in all the ways in which a handler can answer.
func TestTheAdaptersChangeNothingAndMissNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		build func(*shadow.Mirror) http.Handler // nil: without a mirror
		// Outside of the adapter the answer is not the mirror's to see.
		unseen []string
	}{
		"gin":  {build: ginInAllWays, unseen: []string{"/error", "/panic"}},
		"echo": {build: echoInAllWays, unseen: []string{"/panic"}},
	} {
		for _, path := range []string{"/json", "/status", "/none", "/text", "/stream", "/error", "/panic", "/twice", "/redirect", "/missing", "/early"} {
			t.Run(name+path, func(t *testing.T) {
				var result *shadow.Result
				mirror, err := shadow.New(shadow.InProcess("copy", tc.build(nil)), shadow.WithRequestID(""),
					shadow.WithCompare(shadow.CompareOptions{Headers: []string{"Content-Type", "Location", "Late"}}),
					shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error { result = r; return nil })))
				require.NoError(t, err)
				bare, mirrored := ask(t, tc.build(nil), path), ask(t, tc.build(mirror), path)
				require.NoError(t, mirror.Shutdown(t.Context()))
				require.Empty(t, cmp.Diff(bare, mirrored))

				stats := mirror.Stats()
				if path == "/panic" {
					require.Equal(t, map[shadow.Reason]uint64{shadow.ReasonPrimaryPanicked: 1}, stats.Skipped)
					return
				}
				require.Equal(t, uint64(1), stats.Requests)
				if !slices.Contains(tc.unseen, path) {
					require.Equal(t, shadow.Match, result.Outcome, "%s: %+v", path, result.Diffs)
				}
			})
		}
	}
}

// answer is what a client gets.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

func ask(t *testing.T, h http.Handler, path string) answer {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	client := srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Get(srv.URL + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	header := maps.Clone(resp.Header)
	delete(header, "Date")
	return answer{resp.StatusCode, header, string(body)}
}

func ginInAllWays(m *shadow.Mirror) http.Handler {
	router := gin.New()
	router.Use(gin.Recovery(), func(c *gin.Context) { // around the mirror: answers errors
		c.Next()
		if len(c.Errors) > 0 {
			c.JSON(http.StatusTeapot, gin.H{"error": c.Errors[0].Error()})
		}
	})
	if m != nil {
		router.Use(ginMiddleware(m))
	}
	router.NoRoute(func(c *gin.Context) { c.String(http.StatusNotFound, "no such page") })
	router.GET("/json", func(c *gin.Context) { c.JSON(http.StatusAccepted, gin.H{"a": 1}) })
	router.GET("/status", func(c *gin.Context) { c.Status(http.StatusConflict) })
	router.GET("/none", func(*gin.Context) {})
	router.GET("/text", func(c *gin.Context) { c.Writer.WriteString("text") })
	router.GET("/stream", func(c *gin.Context) {
		for range 3 {
			c.Writer.Write([]byte("part "))
			c.Writer.Flush()
		}
		if err := http.NewResponseController(c.Writer).Flush(); err != nil {
			c.Writer.WriteString(err.Error())
		}
	})
	router.GET("/error", func(c *gin.Context) { c.Error(errors.New("out of tea")) })
	router.GET("/panic", func(*gin.Context) { panic("lost") })
	router.GET("/twice", func(c *gin.Context) {
		c.Status(http.StatusCreated)
		c.Header("Late", "1") // gin holds the header back
		c.Status(http.StatusNotFound)
		c.Writer.WriteString("the last one counts")
	})
	router.GET("/redirect", func(c *gin.Context) { c.Redirect(http.StatusFound, "/json") })
	router.GET("/early", func(c *gin.Context) {
		c.Header("Early", "1")
		c.Status(http.StatusNonAuthoritativeInfo)
		c.Writer.WriteHeaderNow()
		c.Header("Late", "never sent")
	})
	return router
}

func echoInAllWays(m *shadow.Mirror) http.Handler {
	router := echo.New()
	router.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{DisablePrintStack: true}),
		func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error { // around the mirror: sees status, size and errors
				c.Response().Before(func() { c.Response().Header().Set("Early", "1") })
				return next(c)
			}
		})
	router.Logger.SetOutput(io.Discard)
	if m != nil {
		router.Use(echoMiddleware(m))
	}
	router.GET("/json", func(c echo.Context) error { return c.JSON(http.StatusAccepted, map[string]int{"a": 1}) })
	router.GET("/status", func(c echo.Context) error { return c.NoContent(http.StatusConflict) })
	router.GET("/none", func(echo.Context) error { return nil })
	router.GET("/text", func(c echo.Context) error { return c.String(http.StatusOK, "text") })
	router.GET("/stream", func(c echo.Context) error {
		for range 3 {
			if _, err := c.Response().Write([]byte("part ")); err != nil {
				return err
			}
			c.Response().Flush()
		}
		return nil
	})
	router.GET("/error", func(echo.Context) error { return errors.New("out of tea") })
	router.GET("/panic", func(echo.Context) error { panic("lost") })
	router.GET("/twice", func(c echo.Context) error {
		c.Response().WriteHeader(http.StatusCreated)
		c.Response().WriteHeader(http.StatusNotFound) // echo says no
		return c.String(http.StatusNotFound, "the first one counts")
	})
	router.GET("/redirect", func(c echo.Context) error { return c.Redirect(http.StatusFound, "/json") })
	router.GET("/early", func(c echo.Context) error {
		c.Response().WriteHeader(http.StatusNonAuthoritativeInfo)
		c.Response().Header().Set("Late", "never sent")
		return nil
	})
	return router
}

// outside is what a middleware around an adapter gets to see.
type outside struct {
	Status  int
	Size    int64
	Written bool
	Err     string
	Own     bool // the writer is the one that it handed on
}

func TestTheMiddlewaresAroundAnAdapterSeeWhatTheySeeWithoutIt(t *testing.T) {
	aroundGin := func(adapters ...gin.HandlerFunc) (got outside) {
		router := gin.New()
		router.Use(func(c *gin.Context) {
			own := c.Writer
			c.Next()
			got = outside{c.Writer.Status(), int64(c.Writer.Size()), c.Writer.Written(), c.Errors.String(), c.Writer == own}
		})
		router.Use(adapters...)
		router.NoRoute(func(c *gin.Context) {
			c.String(http.StatusNotFound, "no such page")
			c.Error(errors.New("lost")) //nolint:errcheck // returns what it was given
		})
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/missing", nil))
		return got
	}
	aroundEcho := func(adapters ...echo.MiddlewareFunc) (got outside) {
		router := echo.New()
		router.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				own := c.Response()
				err := next(c)
				if err != nil {
					got.Err = err.Error()
					c.Error(err) // as echo's Logger does
				}
				got.Status, got.Size, got.Written = c.Response().Status, c.Response().Size, c.Response().Committed
				got.Own = c.Response() == own
				return err
			}
		})
		router.Use(adapters...)
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/missing", nil))
		return got
	}
	mirror, err := shadow.New(shadow.InProcess("copy", http.NotFoundHandler()))
	require.NoError(t, err)
	for name, pair := range map[string][2]outside{
		"gin":  {aroundGin(), aroundGin(ginMiddleware(mirror))},
		"echo": {aroundEcho(), aroundEcho(echoMiddleware(mirror))},
	} {
		bare, mirrored := pair[0], pair[1]
		assert.Equal(t, http.StatusNotFound, bare.Status, name)
		assert.NotEmpty(t, bare.Err, name)
		assert.Equal(t, bare, mirrored, name)
	}
	require.NoError(t, mirror.Shutdown(t.Context()))
	require.Equal(t, uint64(2), mirror.Stats().Mismatch, "it did copy")
}

// Where the route is not found there is no pattern, and the path's template serves.
func TestAnUnknownRouteIsNamedByItsPath(t *testing.T) {
	for _, s := range setups {
		routes := make(chan string, 1)
		primary, mirror, err := s.start(shadow.WithReporter(
			shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error { routes <- r.Route; return nil })))
		require.NoError(t, err)
		primary.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/nowhere/7", nil))
		require.NoError(t, mirror.Shutdown(t.Context()))
		assert.Equal(t, "GET /nowhere/{}", <-routes, s.name)
	}
}
