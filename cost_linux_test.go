//go:build !race

// The race detector multiplies the cost of some code and not of other: nothing can be told from it.

package shadow_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow"
)

var costSize = flag.Int("cost.size", 8<<10, "bytes of the smaller inputs of the search for cost")

// cpu is the processor time that f takes. It is that of this thread: a machine that does other
// things besides changes little.
func cpu(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const thread = 1 // RUSAGE_THREAD
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(thread, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	n := 0
	start, took := used(), time.Duration(0)
	for took < time.Millisecond { // the clock of a thread is coarse
		f()
		n++
		took = used() - start
	}
	return took / time.Duration(n)
}

// repeated repeats pieces in turn to n bytes.
func repeated(n int, pieces ...string) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(pieces[i%len(pieces)])
	}
	return b.String()
}

// numbered repeats a format with a number that grows to n bytes.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// costTexts are what is put everywhere: what is usual, and what parsers have stumbled over.
var costTexts = map[string]func(n int) string{
	"usual":          func(n int) string { return numbered(n, "word%d, and another; a=b ") },
	"commas":         func(n int) string { return repeated(n, ",=") },
	"semicolons":     func(n int) string { return repeated(n, ";") },
	"equal signs":    func(n int) string { return repeated(n, "=") },
	"quotes":         func(n int) string { return repeated(n, `="`) },
	"quoted pairs":   func(n int) string { return repeated(n, `a="b;c"; `) },
	"cookies":        func(n int) string { return numbered(n, "name%d=value; ") },
	"one word":       func(n int) string { return repeated(n, "x") },
	"digits":         func(n int) string { return repeated(n, "4111") },
	"digits apart":   func(n int) string { return repeated(n, "4 1-1 1") },
	"at signs":       func(n int) string { return repeated(n, "a@") },
	"dots":           func(n int) string { return repeated(n, "a.") },
	"local parts":    func(n int) string { return repeated(n, "a.b-c_d+") },
	"percents":       func(n int) string { return repeated(n, "%2525") },
	"pluses":         func(n int) string { return repeated(n, "+4917") },
	"colons":         func(n int) string { return repeated(n, "::1:") },
	"ampersands":     func(n int) string { return repeated(n, "a&") },
	"brackets":       func(n int) string { return repeated(n, "[") },
	"braces":         func(n int) string { return repeated(n, `{"a":`) },
	"JSON in quotes": func(n int) string { return repeated(n, `{\"a\":1}`) },
	"tags":           func(n int) string { return repeated(n, "<a>") },
	"comments":       func(n int) string { return repeated(n, "<!--") },
	"CDATA":          func(n int) string { return repeated(n, "<![CDATA[") },
	"entities":       func(n int) string { return repeated(n, "&#160;") },
	"slashes":        func(n int) string { return repeated(n, "/") },
	"base64":         func(n int) string { return repeated(n, "eyJhbGciOi.") },
	"backslashes":    func(n int) string { return repeated(n, `\`) },
	"bearer":         func(n int) string { return repeated(n, "Bearer ") },
	"dashes":         func(n int) string { return repeated(n, "--x\r\n") },
	"lines":          func(n int) string { return repeated(n, "\n") },
	"data":           func(n int) string { return repeated(n, "data:\n") },
	"wide":           func(n int) string { return repeated(n, "\u00a0\uff14") },
}

// costPlaces are the places in a message where a text can be.
var costPlaces = map[string]func(text string) *shadow.Message{
	"path": func(s string) *shadow.Message {
		return &shadow.Message{URL: &url.URL{Path: "/" + strings.ReplaceAll(s, "%", "")}}
	},
	"query":   func(s string) *shadow.Message { return &shadow.Message{URL: &url.URL{Path: "/", RawQuery: s}} },
	"cookie":  func(s string) *shadow.Message { return inField("Cookie", s) },
	"cookies": func(s string) *shadow.Message { return inField("Set-Cookie", s) },
	"referer": func(s string) *shadow.Message { return inField("Referer", "https://a.test/?"+s) },
	"field":   func(s string) *shadow.Message { return inField("X-A", s) },
	"text":    func(s string) *shadow.Message { return inBody("text/plain", s) },
	"JSON":    func(s string) *shadow.Message { return inBody("application/json", `["`+inString(s)+`"]`) },
	"NDJSON":  func(s string) *shadow.Message { return inBody("application/x-ndjson", `"`+inString(s)+"\"\n") },
	"form":    func(s string) *shadow.Message { return inBody("application/x-www-form-urlencoded", s) },
	"XML":     func(s string) *shadow.Message { return inBody("application/xml", "<a>"+s+"</a>") },
	"events":  func(s string) *shadow.Message { return inBody("text/event-stream", s) },
	"parts": func(s string) *shadow.Message {
		return inBody("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n"+s+"\r\n--x--\r\n")
	},
}

func inString(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(s)
}

func inField(name, s string) *shadow.Message {
	return &shadow.Message{Header: http.Header{name: {s}}, URL: &url.URL{Path: "/"}}
}

func inBody(contentType, s string) *shadow.Message {
	return &shadow.Message{URL: &url.URL{Path: "/"}, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(s)}
}

// No text makes a mask take more than twice as long per byte when there is four times of it,
// wherever it is, and whether the mask reads it or fails.
func TestTheWorkOfAMaskGrowsWithTheBytesOnly(t *testing.T) {
	masks := map[string]shadow.Masker{
		"cookies":     shadow.MaskCookies("session"),
		"query":       shadow.MaskQuery("token"),
		"path":        shadow.MaskPath("/users/{secret}/x"),
		"JSON":        shadow.MaskJSON("$..email", "$.a[*].b"),
		"form":        shadow.MaskForm("password"),
		"XML":         shadow.MaskXML("Password"),
		"detected":    shadow.MaskDetected(),
		"credentials": shadow.DropCredentials(),
	}
	tried := 0
	for maskName, mask := range masks {
		for place, message := range costPlaces {
			for name, text := range costTexts {
				if !about(maskName, place) {
					continue
				}
				tried++
				at := func(n int) time.Duration {
					msg := message(text(n))
					return cpu(func() { mask.Mask(msg.Clone()) }) //nolint:errcheck // either is fine
				}
				large := at(4 * *costSize)
				if large <= time.Millisecond { // whatever a quarter takes
					continue
				}
				small := min(at(*costSize), at(*costSize))
				for range 20 { // what is measured is too long at times, and never too short
					if large <= 8*small+time.Millisecond {
						break
					}
					large = min(large, at(4**costSize))
				}
				assert.LessOrEqual(t, large, 8*small+time.Millisecond, "%s of %s in %s: %v of %d bytes, %v of four times as many",
					maskName, name, place, small, *costSize, large)
			}
		}
	}
	t.Logf("%d cases", tried)
}

// about reports whether a mask looks at a place.
func about(mask, place string) bool {
	switch mask {
	case "cookies":
		return place == "cookie" || place == "cookies"
	case "query", "credentials":
		return place == "query" || place == "referer" || place == "field" || place == "path"
	case "path":
		return place == "path" || place == "referer"
	case "JSON", "form", "XML":
		return costPlaces[place]("").Body != nil
	}
	return true
}
