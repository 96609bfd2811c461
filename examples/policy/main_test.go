package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const printed = `The client sent
  POST /customers/ada@lovelace.example/orders?email=ada@lovelace.example&lang=en
  Authorization: Bearer 17a3f0
  X-User: ada@lovelace.example
  {"items":3,"contact":{"email":"ada@lovelace.example","born":"1815-12-10"},"card":"4111 1111 1111 1111","allergies":["nuts"],"note":"or try 5555 5555 5555 4444"}

The shadow received
  POST /customers/twq4i2oir24b3pyazkbrzlyytz@tanrfuuvh5zqx.example.com/orders?email=twq4i2oir24b3pyazkbrzlyytz%40tanrfuuvh5zqx.example.com&lang=en
  X-User: twq4i2oir24b3pyazkbrzlyytz@tanrfuuvh5zqx.example.com
  {"items":3,"contact":{"email":"twq4i2oir24b3pyazkbrzlyytz@tanrfuuvh5zqx.example.com","born":"1153-06-22"},"card":"[masked]","note":"or try [masked]"}

Which rule touched what
  credentials       /header/Authorization
  e-mail addresses  /path/2
  e-mail addresses  /query/email
  e-mail addresses  /header/X-User
  e-mail addresses  /body/contact/email
  date of birth     /body/contact/born
  allergies         /body/allergies
  payment cards     /body/card
  payment cards     /body/note

The reporters were told
  /body/cents is 720 instead of 750
`

func TestTheShadowReceivesNothingThatTheRulesAreAbout(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))
	require.Empty(t, cmp.Diff(printed, out.String()))
	_, received, _ := bytes.Cut(out.Bytes(), []byte("The shadow received"))
	for _, secret := range []string{"ada", "lovelace", "17a3f0", "1815-12-10", "4111", "nuts", "5555"} {
		assert.NotContains(t, string(received), secret)
	}
}

func TestRulesAreReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.json")
	const who = `{"version": 1, "rules": [{"name": "who", "headers": ["X-User"]}]`
	require.NoError(t, os.WriteFile(path, []byte(who+`, "bodies": {"allow": ["application/json"]}}`), 0o600))
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-rules", path}, &out))
	assert.Contains(t, out.String(), "X-User: [masked]")
	assert.Contains(t, out.String(), "  who               /header/X-User\n")

	require.NoError(t, os.WriteFile(path, []byte(who+"}"), 0o600))
	assert.ErrorContains(t, run(t.Context(), []string{"-rules", path}, io.Discard), "no rule looks into a body")

	require.NoError(t, os.WriteFile(path, []byte(`{"version": 1, "rules": [{"nam": "who"}]}`), 0o600))
	assert.ErrorContains(t, run(t.Context(), []string{"-rules", path}, io.Discard), "1:27: ")
	assert.ErrorIs(t, run(t.Context(), []string{"-rules", path + "x"}, io.Discard), os.ErrNotExist)
}

func TestAnArgumentIsAnError(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"extra"}, io.Discard), "extra")
	require.Error(t, run(t.Context(), []string{"-key", "x"}, io.Discard))
	require.NoError(t, run(t.Context(), []string{"-h"}, io.Discard))
}
