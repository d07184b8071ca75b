package config_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/config"
)

func TestConfig(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "config")
}

const (
	password = "hunter2"
	dsn      = "postgres://fusion:" + password + "@db/shop"
	shown    = "postgres://fusion:***@db/shop"
)

type (
	flags map[string]string
	files map[string]string // absolute path, content
)

// forbidden as a file's content makes the file unreadable.
const forbidden = "\x00forbidden"

// world is what a process sees that was started in /shop.
type world struct {
	flags   flags
	env     []string
	files   files
	foreign []string
}

func (w world) sources() config.Sources {
	return config.Sources{
		Flags: w.flags, Environ: w.env, Cwd: "/shop", Ignore: w.foreign,
		ReadFile: func(path string) ([]byte, error) {
			content, ok := w.files[filepath.ToSlash(path)]
			switch {
			case !ok:
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			case content == forbidden:
				return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("permission denied")}
			}
			return []byte(content), nil
		},
	}
}

func load(w world) config.Loaded {
	GinkgoHelper()
	loaded, err := config.Load(w.sources())
	Expect(err).NotTo(HaveOccurred())
	return loaded
}

// refused gives the details of what is wrong with a world.
func refused(w world) []string {
	GinkgoHelper()
	loaded, err := config.Load(w.sources())
	Expect(loaded).To(BeZero())
	var wrong *config.Error
	Expect(errors.As(err, &wrong)).To(BeTrue(), "want a *config.Error, got %v", err)
	Expect(err.Error()).NotTo(ContainSubstring(password))
	var details []string
	for _, p := range wrong.Problems {
		details = append(details, p.Detail)
		Expect(err.Error()).To(ContainSubstring(p.Detail))
	}
	return details
}

func row(l config.Loaded, key string) config.Row {
	GinkgoHelper()
	for _, r := range l.Rows() {
		if r.Key == key {
			return r
		}
	}
	Fail("no row " + key)
	return config.Row{}
}
