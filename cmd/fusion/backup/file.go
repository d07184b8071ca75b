package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// A backup is a tar archive of three files, so that nobody needs this program to get at the
// data: pg_restore reads the dump, and sha256sum --check the sums. The master key, where the
// shop has made one, comes behind them; its fingerprint in the manifest is its sum.
const (
	dumpName     = "database.dump"
	manifestName = "manifest.json"
	sumsName     = "SHA256SUMS"
	keyName      = "secrets.key"
)

// format of the archive. A program refuses those above it.
const format = 1

var (
	// ErrExists says that there is a file already where the backup should go.
	ErrExists = errors.New("the file exists")
	// ErrForeign says that a file is not a backup.
	ErrForeign = errors.New("is not a backup that `fusion backup create` made")
	// ErrDamaged says that a backup is not what was written.
	ErrDamaged = errors.New("is damaged")
	// ErrLater says that a backup was made by a program that knows more than this one.
	ErrLater = errors.New("was made by a newer program")
)

const block = 512 // of tar

// writer makes a backup under a name of its own, which it gives up for the right one when
// everything is on the disk.
type writer struct {
	file  *os.File
	path  string
	force bool
	sums  bytes.Buffer
}

func newWriter(path string, force bool) (*writer, error) {
	w := &writer{path: path, force: force}
	if err := w.free(); err != nil {
		return nil, err
	}
	var err error
	w.file, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part") // mode 600
	return w, err
}

func (w *writer) free() error {
	_, err := os.Lstat(w.path)
	switch {
	case w.force, errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: %s", ErrExists, w.path)
}

// dump writes the dump as it comes: its size, which tar puts in front, is known afterwards.
func (w *writer) dump(at time.Time, from func(io.Writer) error, progress func(written int64)) error {
	if _, err := w.file.Seek(block, io.SeekStart); err != nil {
		return err
	}
	content := &meter{w: w.file, sum: sha256.New(), progress: progress}
	if err := from(content); err != nil {
		return err
	}
	if _, err := w.file.Write(make([]byte, -content.size&(block-1))); err != nil {
		return err
	}
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(header(dumpName, content.size, at)); err != nil {
		return err
	}
	if head.Len() != block {
		return fmt.Errorf("the header of %s takes %d bytes", dumpName, head.Len())
	}
	_, err := w.file.WriteAt(head.Bytes(), 0)
	w.sum(dumpName, content.sum)
	return err
}

func header(name string, size int64, at time.Time) *tar.Header {
	// GNU's header is one block, however large the file.
	return &tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: at.Truncate(time.Second), Typeflag: tar.TypeReg, Format: tar.FormatGNU}
}

func (w *writer) sum(name string, h hash.Hash) {
	_, _ = fmt.Fprintf(&w.sums, "%s  %s\n", hex.EncodeToString(h.Sum(nil)), name)
}

// finish adds the manifest, the sums and the key, and gives the file its name.
func (w *writer) finish(m Manifest, key *vault.Key) (size int64, err error) {
	about, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return 0, err
	}
	h := sha256.New()
	_, _ = h.Write(about)
	w.sum(manifestName, h)
	type part struct {
		name    string
		content []byte
	}
	parts := []part{{manifestName, about}, {sumsName, w.sums.Bytes()}}
	if key != nil {
		parts = append(parts, part{keyName, []byte(key.Reveal() + "\n")})
	}
	out := tar.NewWriter(w.file)
	for _, f := range parts {
		if err := out.WriteHeader(header(f.name, int64(len(f.content)), m.TakenAt)); err != nil {
			return 0, err
		}
		if _, err := out.Write(f.content); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(out.Close(), w.file.Sync()); err != nil {
		return 0, err
	}
	info, err := w.file.Stat()
	if err != nil {
		return 0, err
	}
	if err := errors.Join(w.free(), w.file.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(w.file.Name(), w.path); err != nil {
		return 0, err
	}
	return info.Size(), sync(filepath.Dir(w.path))
}

// abandon leaves nothing behind.
func (w *writer) abandon() {
	_ = w.file.Close() // may be closed
	_ = os.Remove(w.file.Name())
}

// sync makes a rename in the folder durable.
func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// meter counts and sums what goes through it.
type meter struct {
	w        io.Writer
	size     int64
	sum      hash.Hash
	progress func(written int64)
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.size += int64(n)
	_, _ = m.sum.Write(b[:n])
	m.progress(m.size)
	return n, err
}

// File is a backup that was read from end to end and is what was written.
type File struct {
	Manifest Manifest
	Size     int64
	Key      *vault.Key // nil when the shop's is kept elsewhere

	file *os.File
	dump *io.SectionReader
}

// Open reads a backup and compares it with its sums.
//
// Errors: ErrForeign, ErrDamaged, ErrLater.
func Open(path string) (_ *File, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{file: file}
	defer func() {
		if err != nil {
			_ = file.Close()
			err = fmt.Errorf("%s %w", path, err)
		}
	}()
	return f, f.read()
}

// Close lets go of the file.
func (f *File) Close() error { return f.file.Close() }

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

func (f *File) read() error {
	in := tar.NewReader(f.file)
	var about, sums, found bytes.Buffer
	names := map[string]func(io.Reader, *tar.Header) error{
		dumpName: func(r io.Reader, h *tar.Header) error {
			at, err := f.file.Seek(0, io.SeekCurrent)
			f.dump = io.NewSectionReader(f.file, at, h.Size)
			return errors.Join(err, copySummed(io.Discard, r, &found, dumpName))
		},
		manifestName: func(r io.Reader, _ *tar.Header) error { return copySummed(&about, r, &found, manifestName) },
		sumsName: func(r io.Reader, _ *tar.Header) error {
			_, err := io.Copy(&sums, io.LimitReader(r, 1<<16))
			return err
		},
	}
	for _, want := range []string{dumpName, manifestName, sumsName} {
		h, err := in.Next()
		switch {
		case f.dump == nil && (err != nil || h.Name != want):
			return ErrForeign
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return damaged("it ends before its %s", want)
		case err != nil:
			return damaged("what should be the head of its %s is none", want)
		case h.Name != want:
			return damaged("where its %s should be is %q", want, h.Name)
		}
		if err := names[want](in, h); errors.Is(err, io.ErrUnexpectedEOF) {
			return damaged("it ends in the middle of its %s", want)
		} else if err != nil {
			return err
		}
	}
	if sums.String() != found.String() {
		return damaged("its files do not have the sums that were written with them (%s)", sumsName)
	}
	if err := json.Unmarshal(about.Bytes(), &f.Manifest); err != nil {
		return damaged("its %s cannot be read: %v", manifestName, err)
	}
	if f.Manifest.Format > format {
		return fmt.Errorf("%w (fusion %s), in a format that this one does not know", ErrLater, f.Manifest.Program)
	}
	if err := f.readKey(in); err != nil {
		return err
	}
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	f.Size = info.Size()
	return nil
}

func (f *File) readKey(in *tar.Reader) error {
	if f.Manifest.MasterKey == "" {
		return nil
	}
	if h, err := in.Next(); err != nil || h.Name != keyName {
		return damaged("its %s is missing", keyName)
	}
	text, err := io.ReadAll(io.LimitReader(in, 1<<10))
	if err != nil {
		return damaged("it ends in the middle of its %s", keyName)
	}
	key, err := vault.ParseKey(string(text))
	if err != nil || key.ID() != f.Manifest.MasterKey {
		return damaged("its %s is not the one that was written", keyName)
	}
	f.Key = &key
	return nil
}

func copySummed(to io.Writer, from io.Reader, sums *bytes.Buffer, name string) error {
	h := sha256.New()
	_, err := io.Copy(io.MultiWriter(to, h), from)
	_, _ = fmt.Fprintf(sums, "%s  %s\n", hex.EncodeToString(h.Sum(nil)), name)
	return err
}
