package pgcluster

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who runs the server. PostgreSQL refuses to run as root, so root
// hands it to an account without rights.
type account struct {
	name     string
	uid, gid int
	other    bool // not the account of this process
}

// accountFor is ourselves; for root the owner of the existing cluster, else the
// system's postgres, else nobody.
func accountFor(f folder) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	if uid, gid, err := owner(f.pgdata); err == nil && uid != 0 {
		name := "uid " + strconv.Itoa(uid)
		if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
			name = u.Username
		}
		return account{name: name, uid: uid, gid: gid, other: true}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil && uid != 0 {
			return account{name: name, uid: uid, gid: gid, other: true}, nil
		}
	}
	return account{}, fmt.Errorf("PostgreSQL refuses to run as root and there is no user postgres or nobody: start fusion as an ordinary user")
}

// own gives a tree to the account when it is root's, as after a restore by hand,
// and closes it to others, which PostgreSQL insists on.
func (a account) own(tree string) error {
	uid, _, err := owner(tree)
	if err != nil {
		return err
	}
	if uid != a.uid && a.other {
		if err := a.take(tree); err != nil {
			return err
		}
	}
	info, err := os.Stat(tree)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o027 != 0 {
		return os.Chmod(tree, 0o700) //nolint:gosec // a folder
	}
	return nil
}

func (a account) take(tree string) error {
	// A root cannot be left through a link that the account, which owns half of
	// the tree already, puts in our way.
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, a.uid, a.gid)
	})
}

// mayPass lets the account walk through root's folder, and no further.
func (a account) mayPass(dir string) error {
	uid, _, err := owner(dir)
	if err != nil || !a.other || uid != 0 {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm() != 0o700 {
		return nil // somebody chose it so
	}
	if err := os.Chown(dir, 0, a.gid); err != nil {
		return fmt.Errorf("let the user %s in, who runs PostgreSQL for root: %w; start fusion as an ordinary user instead", a.name, err)
	}
	return os.Chmod(dir, 0o710) //nolint:gosec // a folder
}

// mayEnter tells whether the account can walk to the folder and into it.
// Access lists are not looked at: being wrong costs the detour of reach only.
func (a account) mayEnter(folder string) bool {
	if !a.other {
		return true
	}
	for path := folder; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil {
			return false
		}
		var bit os.FileMode = 0o001
		switch uid, gid := ownerOf(info); {
		case uid == a.uid:
			bit = 0o100
		case gid == a.gid:
			bit = 0o010
		}
		if info.Mode().Perm()&bit == 0 {
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
	}
}

// reach returns the path by which a command run by the account gets into the
// folder. Below /root, say, the account owns the folder but cannot walk there;
// then the command inherits the open folder and enters through its descriptor,
// which needs no right on the way. (The other way, a capability to ignore
// permissions, would let any superuser's COPY read every file of the machine.)
func (a account) reach(cmd *exec.Cmd, folder string) (string, error) {
	if a.mayEnter(folder) {
		return folder, nil
	}
	const firstExtra = 3
	path, ok := descriptorPath(firstExtra + len(cmd.ExtraFiles))
	if !ok {
		return "", fmt.Errorf("the user %s, who runs PostgreSQL for root, cannot enter %s: choose another data folder, or start fusion as an ordinary user", a.name, folder)
	}
	d, err := os.Open(folder)
	if err != nil {
		return "", err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, d)
	return path, nil
}

// command prepares a program of PostgreSQL. It gets a process group of its own,
// so that Ctrl-C in a terminal reaches only us, and of our environment only what
// it needs: the rest holds the shop's secrets.
func (a account) command(program string, args ...string) *exec.Cmd {
	cmd := &exec.Cmd{
		Path: program,
		Args: append([]string{program}, args...),
		Dir:  "/", // where we stand may be closed to the account
		Env:  []string{"LC_ALL=C", "TZ=UTC"},
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid: true,
		},
	}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if a.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)} //nolint:gosec // from the system's own tables
	}
	return cmd
}

// explain turns the refusals of fork and exec into advice.
func (a account) explain(cmd *exec.Cmd, err error) error {
	if !a.other {
		return fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	return fmt.Errorf("run %s as user %s (PostgreSQL refuses root): %w; start fusion as an ordinary user instead", cmd.Path, a.name, err)
}
