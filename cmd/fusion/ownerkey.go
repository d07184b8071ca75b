package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// ownerKey is the key of fusion dev, kept in the data folder so that it stays the same.
type ownerKey struct {
	secret string
	file   string
	fresh  bool // it was made just now
}

// prefix is what of the key may be shown again.
func (k ownerKey) prefix() string { return k.secret[:min(len(k.secret), len(apikey.Prefix)+4)] + "…" }

// ownerKey reads the key, or makes one when there is none that opens the shop.
func (s *shop) ownerKey(ctx context.Context) (ownerKey, error) {
	k := ownerKey{file: filepath.Join(s.cfg.Data.Dir, "owner.key")}
	content, err := os.ReadFile(k.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return k, fmt.Errorf("read the owner's key: %w", err)
	}
	if k.secret = strings.TrimSpace(string(content)); k.secret != "" {
		id, ok, err := apikey.NewVerifier(s.app.DB(), clock.System, "", "").Authenticate(ctx, k.secret)
		if err != nil {
			return k, err
		}
		if ok && id.Tenant == identity.DefaultTenant && id.Can(identity.Everything) {
			return k, os.Chmod(k.file, 0o600) // it may have been copied here
		}
	}
	return k, s.newOwnerKey(ctx, &k)
}

// newOwnerKey finds a place for the key before it makes one, and puts it there in one
// step: no reader ever sees half of it, and no key is made that nobody can find.
func (s *shop) newOwnerKey(ctx context.Context, k *ownerKey) (err error) {
	if err := os.MkdirAll(filepath.Dir(k.file), 0o755); err != nil { //nolint:gosec // as pgcluster makes it; what is secret in it is a file of mode 600
		return fmt.Errorf("keep the owner's key: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(k.file), "owner.key-*") // mode 600
	if err != nil {
		return fmt.Errorf("keep the owner's key: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("keep the owner's key: %w", err), os.Remove(file.Name()))
		}
	}()
	_, secret, err := makeKey(asShop(ctx), s.app.DB(), apikey.Terms{Name: "Owner (made by fusion dev)", Kind: apikey.Secret, Permissions: []string{identity.Everything}})
	if err != nil {
		return errors.Join(err, file.Close())
	}
	k.secret, k.fresh = secret, true
	_, err = file.WriteString(secret + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), k.file)
}
