package redact_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/internal/redact"
)

func TestForwardedTellsCredentialsThatArrivedFromThoseThatDidNot(t *testing.T) {
	request := http.Header{"Cookie": {"a=b"}, "Authorization": {"x"}, "X-Api-Key": {"k"}, "Dpop": {}, "Accept": {"*/*"}, "X-Token": {"t"}}
	kept, lost := redact.Forwarded(request, http.Header{"Cookie": {"a=b"}, "Authorization": {"x"}, "X-Api-Key": {"other"}})
	assert.Equal(t, []string{"Authorization", "Cookie"}, kept)
	assert.Equal(t, []string{"X-Api-Key", "X-Token"}, lost)
}

func TestRefusedIsAboutAnswersThatWantCredentials(t *testing.T) {
	lost := []string{"Authorization", "Cookie"}
	assert.Equal(t, "credentials were not forwarded: Authorization, Cookie; give the copy its own with SetHeader", redact.Refused(lost, 401, 200))
	assert.NotEmpty(t, redact.Refused(lost, 403, 401))
	assert.Empty(t, redact.Refused(lost, 401, 401), "the primary refuses too")
	assert.Empty(t, redact.Refused(lost, 404, 200))
	assert.Empty(t, redact.Refused(nil, 401, 200))
}
