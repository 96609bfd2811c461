package charset

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryByteOfACharsetComesBack(t *testing.T) {
	for name := range tables {
		c, err := Named(name)
		require.NoError(t, err, name)
		for b := range 256 {
			raw := []byte{'a', byte(b)}
			text, err := c.Decode(raw)
			if err != nil {
				assert.GreaterOrEqual(t, b, 0x80, "%s has ASCII", name)
				continue
			}
			require.True(t, utf8.Valid(text))
			back, err := c.Encode(text)
			require.NoError(t, err)
			assert.Equal(t, raw, back, name)
		}
	}
}

func TestACharsetIsKnownByItsNames(t *testing.T) {
	for name, want := range map[string]string{
		"": "é", "UTF-8": "é", "utf8": "é", "US-ASCII": "é", "ISO-8859-1": "Ã©", "iso_8859-1": "Ã©", "ISO8859-15": "Ã©",
		"latin1": "Ã©", "Windows-1252": "Ã©", "cp1252": "Ã©", "windows-1251": "Г©", "KOI8-R": "ц╘",
	} {
		c, err := Named(name)
		require.NoError(t, err, name)
		text, err := c.Decode([]byte("é"))
		require.NoError(t, err, name)
		assert.Equal(t, want, string(text), name)
		assert.Equal(t, want == "é", c.UTF8(), name)
	}
	for _, name := range []string{
		"utf-16", "UTF-16LE", "ucs-2", "iso-10646-ucs-2", "utf-32", "utf-7", "ibm500", "cp037", "shift_jis", "euc-jp", "gb18030", "?", "x", " utf-8",
		string(make([]byte, 1<<20)),
	} {
		_, err := Named(name)
		assert.ErrorIs(t, err, ErrUnknown, "%.20q", name)
	}
}

func TestTextThatIsNotInItsCharsetIsAnError(t *testing.T) {
	for name, text := range map[string]string{"utf-8": "a\xe9", "windows-1252": "a\x81"} {
		c, err := Named(name)
		require.NoError(t, err)
		_, err = c.Decode([]byte(text))
		assert.ErrorIs(t, err, ErrInvalid, name)
	}
	latin1, err := Named("latin1")
	require.NoError(t, err)
	_, err = latin1.Encode([]byte("€"))
	assert.ErrorIs(t, err, ErrInvalid)
}

func TestWideTextIsKnown(t *testing.T) {
	for _, text := range []string{"\xff\xfea\x00", "\xfe\xff\x00a", "\xff\xfe\x87\x65", "a\x00", "\x00a", "\x00\x00\xfe\xff"} {
		assert.ErrorIs(t, Wide([]byte(text)), ErrUTF16, "%q", text)
	}
	for _, text := range []string{"", "a", "\ufeffa", "é", "\xe9"} {
		assert.NoError(t, Wide([]byte(text)), "%q", text)
	}
}
