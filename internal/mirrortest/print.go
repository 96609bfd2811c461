package mirrortest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Printed returns v as fmt, log/slog and encoding/json write it.
func Printed(t testing.TB, v any) string {
	t.Helper()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3v", "%t"} {
		fmt.Fprintf(&out, verb+"\n", v)
	}
	fmt.Fprintln(&out, v, []any{v}, struct{ V any }{v}, errors.Join(fmt.Errorf("%v", v)))
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("m", "v", v, slog.Any("list", []any{v}), slog.Group("g", "v", v))
	}
	for _, one := range []any{v, []any{v}, map[string]any{"v": v}} {
		text, err := json.Marshal(one)
		var functions *json.UnsupportedTypeError // options hold some
		if !errors.As(err, &functions) {
			require.NoError(t, err)
		}
		out.Write(text)
	}
	return out.String()
}

// Spellings matches word as text, in hexadecimal, as bytes and in base64, which spells it in
// three ways. The case does not matter in text.
func Spellings(word string) *regexp.Regexp {
	hexadecimal := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(word)), "[]byte{"), "}")
	list := []string{"(?i:" + word + "|" + hex.EncodeToString([]byte(word)) + "|" + hexadecimal + ")", strings.Trim(fmt.Sprint([]byte(word)), "[]")}
	for before := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte("123"[:before] + word))
		list = append(list, regexp.QuoteMeta(text[(8*before+5)/6:8*(before+len(word))/6])) // the characters that are of word alone
	}
	return regexp.MustCompile(strings.Join(list, "|"))
}
