package shadow_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

func ExampleMaskDetected() {
	m := &shadow.Message{
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   []byte(`{"id":1714979289,"note":"call +49 171 2345678","pan":4111111111111111}`),
	}
	if err := shadow.MaskDetected(shadow.DetectPhone, shadow.DetectCard).Mask(m); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s\n", m.Body)
	// Output: {"id":1714979289,"note":"call [masked]","pan":"[masked]"}
}

// oncall prints events.
type oncall struct{}

func (oncall) Report(context.Context, *shadow.Result) error { return nil }
func (oncall) ReportEvent(_ context.Context, e *shadow.Event) error {
	fmt.Printf("%s: %s\n", e.Kind, e.Text)
	return nil
}

func ExampleWithLeakCheck() {
	candidate := httptest.NewServer(http.NotFoundHandler())
	defer candidate.Close()
	target := shadow.Remote("v2", candidate.URL)
	target.Masker = shadow.MaskAll(shadow.DropCredentials(), shadow.MaskQuery("email"))
	mirror, err := shadow.New(target, shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1}), shadow.WithReporter(oncall{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := mirror.Handler(http.NotFoundHandler())
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?email=ann%40example.com", nil))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?e-mail=ann%40example.com", nil))
	if err := mirror.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(mirror.Stats().Dropped)
	// Output:
	// leak: a copy that was masked still holds what looks like email at /query/e-mail: it was stopped
	// map[leak:1]
}

// detecting is the code of docs/detectors.md.
func detecting() (*shadow.Mirror, error) {
	mirror, err := shadow.New(shadow.Remote("v2", "https://orders-v2.internal"),
		shadow.WithMasker(shadow.MaskAll(
			shadow.MaskJSON("$..customer.name", "$..customer.address"), // no shape gives these away
			shadow.MaskDetected(shadow.DetectCard, shadow.DetectIBAN, shadow.DetectEmail, shadow.DetectPhone))),
		shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 0.1}))
	return mirror, err
}

func TestTheManualOfDetectorsShowsRealCode(t *testing.T) {
	_, err := detecting()
	require.NoError(t, err)
	source, err := os.ReadFile("example_detect_test.go")
	require.NoError(t, err)
	manual, err := os.ReadFile("docs/detectors.md")
	require.NoError(t, err)
	plain := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	_, block, ok := strings.Cut(string(manual), "```go\n")
	require.True(t, ok)
	block, _, _ = strings.Cut(block, "```")
	assert.Contains(t, plain(string(source)), plain(block))
	for kind := range planted {
		assert.Contains(t, string(manual), "| `"+string(kind)+"` | `Detect")
	}
}
