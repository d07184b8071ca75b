package httpx

import (
	"slices"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// IfMatch is embedded in the input of a route that changes one thing. The caller
// sends the ETag that it knows; a newer version is not overwritten.
type IfMatch struct {
	Match string `header:"If-Match" doc:"ETag that the change is meant for; 412 when there is a newer one"`
}

var errStale = fault.New(fault.Stale, "version_conflict", "It was changed in the meantime. Read it again and repeat the change.")

// Allows compares with the version that is stored now. Who was shown less of it has seen the
// same version.
func (m IfMatch) Allows(version int64) error {
	return m.AllowsTag(VersionTag(version), MaskedTag(version))
}

// AllowsTag compares with the ETags of what is stored now, where that is more than a version.
func (m IfMatch) AllowsTag(tags ...string) error {
	if m.Match == "" {
		return nil
	}
	for candidate := range strings.SplitSeq(m.Match, ",") {
		if c := strings.TrimSpace(candidate); c == "*" || slices.Contains(tags, c) {
			return nil
		}
	}
	return errStale
}
