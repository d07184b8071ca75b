package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// transport hands a letter over. errRefused is final.
type transport interface {
	send(ctx context.Context, l letter) error
	check(ctx context.Context) error
	String() string
}

// folder keeps letters as files, for a shop that has no mail server yet.
type folder struct{ dir string }

func (f folder) String() string { return "files in " + f.dir }

func (f folder) send(_ context.Context, l letter) (err error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	file, err := os.CreateTemp(f.dir, ".*.part") // mode 600
	if err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	_, err = file.Write(l.content)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), filepath.Join(f.dir, l.id.String()+".eml"))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep mail: %w", err), os.Remove(file.Name()))
	}
	return nil
}

// check looks whether the folder, or the nearest one above it that there is, takes files: it
// is made when there is something to keep.
func (f folder) check(context.Context) error {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	for {
		file, err := os.CreateTemp(dir, ".*.part")
		if err == nil {
			return errors.Join(file.Close(), os.Remove(file.Name()))
		}
		above := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || above == dir {
			return fmt.Errorf("keep mail: %w", err)
		}
		dir = above
	}
}
