"The scripts and tests/conftest.py, without a network: what they make, leave alone, and say."

(import  functools [partial]
         http.server [SimpleHTTPRequestHandler ThreadingHTTPServer]
         os
         shutil
         subprocess
         sys
         threading
         pytest)

(defn run [command * [cwd None] #** variables]
  "Command, variables -> CompletedProcess, with its text."
  (subprocess.run (list (map str command))
                  :cwd cwd  :env {#** os.environ #** variables}
                  :capture-output True  :text True  :timeout 60))

(defn one-line [text]
  "Whether a message is one line and nothing else."
  (and (.endswith text "\n") (= (.count text "\n") 1)))


;; scripts/environment, in a copy of the project with a space in its path and a stub for Python

(setv STUB #[[#!/bin/sh
echo "$@" >> "$(dirname "$0")/log"
case "$*" in
  *install*) [ ! -e "$(dirname "$0")/fail" ] ;;
esac]])

(defn [pytest.fixture] project [tmp-path root]
  "A folder with what the environment depends on, and a virtual environment with nothing in it."
  (setv folder (/ tmp-path "a project")
        bin    (/ folder ".venv" "bin"))
  (.mkdir bin :parents True)
  (.write-text (/ folder ".venv" "pyvenv.cfg") "")
  (shutil.copytree (/ root "scripts") (/ folder "scripts"))
  (shutil.copy (/ root "pyproject.toml") folder)
  (.write-text (/ bin "python") STUB)
  (.chmod (/ bin "python") 0o755)
  folder)

(defn environment [project [extra ""] #** variables]
  "Sources the script while in another folder, makes the environment ready, prints its Python."
  (setv code "set -euo pipefail; . \"$1/scripts/environment\"; environment $2; echo \"$python\"")
  (run ["bash" "-c" code "bash" project extra] :cwd "/" #** {"NANOGPT_HY_VENV" "" #** variables}))

(defn installs [project]
  "[str]: pip's installations so far, as the stub saw them."
  (setv log (/ project ".venv" "bin" "log"))
  (if (.exists log)
      (lfor  line (.splitlines (.read-text log))  :if (in "install" line) line)
      []))

(defn test-environment-installs-once [project]
  (setv first  (environment project)
        second (environment project))
  (assert (= [first.returncode second.returncode] [0 0]))
  (assert (= first.stdout second.stdout f"{project}/.venv/bin/python\n"))
  (assert (one-line first.stderr))
  (assert (= second.stderr ""))
  (assert (= (len (installs project)) 1))
  (assert (in f"-c {project}/scripts/constraints.txt -e {project}" (get (installs project) 0))))

(defn test-environment-with-an-extra [project]
  (environment project)
  (environment project "test")
  (environment project "test")
  (environment project)
  (assert (= (lfor  line (installs project)  (.endswith line "[test]")) [False True])))

(defn [(pytest.mark.parametrize "name" ["pyproject.toml" "scripts/constraints.txt"])]
      test-environment-installs-what-changed [project name]
  (environment project)
  (with [file (open (/ project name) "a")]
    (.write file "\n# a change\n"))
  (environment project)
  (environment project)
  (assert (= (len (installs project)) 2)))

(defn test-environment-follows-a-moved-project [project]
  (environment project)
  (setv moved (.rename project (.with-name project "elsewhere")))
  (environment moved)
  (assert (= (len (installs moved)) 2)))

(defn test-environment-after-a-failed-installation [project]
  (setv fail (/ project ".venv" "bin" "fail"))
  (.touch fail)
  (setv failed (environment project))
  (assert (= failed.returncode 1))
  (assert (in "installing failed" failed.stderr))
  (assert (in "NANOGPT_HY_PYTHON" failed.stderr))
  (.unlink fail)
  (assert (= (. (environment project) returncode) 0))
  (assert (= (len (installs project)) 2)))

(defn test-environment-clears-the-variable-that-slows-hy [project]
  (environment project)
  (setv code ". \"$1/scripts/environment\"; environment; echo \"${PYTHONDONTWRITEBYTECODE-unset}\""
        done (run ["bash" "-c" code "bash" project]
                  :PYTHONDONTWRITEBYTECODE "1"  :NANOGPT-HY-VENV ""))
  (assert (= done.stdout "unset\n")))

(defn test-environment-leaves-other-folders-alone [project tmp-path]
  (setv precious (/ tmp-path "precious"))
  (.mkdir precious)
  (.touch (/ precious "thesis.txt"))
  (setv done (environment project :NANOGPT-HY-VENV (str precious)))
  (assert (= done.returncode 1))
  (assert (one-line done.stderr))
  (assert (in "not a virtual environment" done.stderr))
  (assert (= (os.listdir precious) ["thesis.txt"])))

(defn test-environment-whose-python-is-gone [project]
  (setv python (/ project ".venv" "bin" "python"))
  (.unlink python)
  (.symlink-to python (/ project "gone"))
  (setv done (environment project))
  (assert (= done.returncode 1))
  (assert (one-line done.stderr))
  (assert (in "delete that folder" done.stderr)))

(setv PYTHONS ["python" "python3" "python3.11" "python3.12" "python3.13" "python3.14"])

(defn stubs [folder code names]
  "Programs of these NAMES in FOLDER, which are nothing but CODE for a shell."
  (.mkdir folder :exist-ok True)
  (for [name names]
    (.write-text (/ folder name) f"#!/bin/sh\n{code}\n")
    (.chmod (/ folder name) 0o755)))

(defn calls-itself [major minor]
  "Code for a shell: this Python, which takes itself for another one."
  f"exec {sys.executable} -c \"import sys; sys.version_info = ({major}, {minor}); $2\"")

(defn [(pytest.mark.parametrize #("second" "chosen") [#(13 "python3.13") #(10 "python3")])]
      test-environment-takes-a-tested-python-first [project second chosen]
  (setv folder (/ project "bin"))
  (stubs folder "exit 1" PYTHONS)
  (stubs folder (calls-itself 3 15) ["python3"])
  (stubs folder (calls-itself 3 second) ["python3.13"])
  (setv done (run ["bash" "-c" ". \"$1/scripts/environment\"; pick_python" "bash" project]
                  :PATH f"{folder}:{(get os.environ "PATH")}" :NANOGPT-HY-PYTHON ""))
  (assert (= done.stdout f"{chosen}\n")))

(defn test-environment-without-a-new-enough-python [project]
  (shutil.rmtree (/ project ".venv"))
  (setv named (environment project :NANOGPT-HY-PYTHON "/bin/false")
        stub  (/ project "bin"))
  (assert (= named.returncode 1))
  (assert (one-line named.stderr))
  (assert (in "/bin/false is not a Python 3.11 or newer" named.stderr))

  ;; nothing named, and every Python on the path is too old
  (stubs stub "[ \"$1\" = --version ] && echo Python 3.8.1" PYTHONS)
  (setv found (environment project :PATH f"{stub}:{(get os.environ "PATH")}" :NANOGPT-HY-PYTHON ""))
  (assert (= found.returncode 1))
  (assert (one-line found.stderr))
  (assert (in "no Python 3.11 or newer here (python3 is Python 3.8.1)" found.stderr)))

(defn test-scripts-are-bash [root]
  (for [name ["scripts/bench" "scripts/environment" "scripts/demo" "scripts/test"
              "scripts/check_wheel" ".ci/run"]]
    (setv done (run ["bash" "-n" (/ root name)]))
    (assert (= #(done.returncode done.stderr) #(0 "")))))


;; scripts/fetch_shakespeare, in a copy, so that the project's own data stays as it is

(defn [pytest.fixture] fetch [tmp-path root]
  "(fetch ARGUMENT ...) -> CompletedProcess. Its text would go to fetch.target."
  (setv folder (/ tmp-path "copy"))
  (.mkdir (/ folder "scripts") :parents True)
  (setv script (shutil.copy (/ root "scripts" "fetch_shakespeare") (/ folder "scripts"))
        fetch  (fn [#* arguments] (run [sys.executable script #* arguments]))
        fetch.target (/ folder "data" "tinyshakespeare.txt"))
  fetch)

(defn files [folder]
  "Folder -> [str]: what is in it; nothing where it is not there."
  (if (.exists folder) (sorted (os.listdir folder)) []))

(defn test-fetch-takes-a-local-file [fetch shakespeare]
  (setv done (fetch shakespeare))
  (assert (= done.returncode 0))
  (assert (one-line done.stdout))
  (assert (= (.read-bytes fetch.target) (.read-bytes shakespeare)))
  (assert (= (files fetch.target.parent) ["tinyshakespeare.txt"])))

(defn [(pytest.mark.parametrize "wrong" ["First Citizen:\n" (* "x" 2,000,000) ""])]
      test-fetch-refuses-another-text [fetch tmp-path wrong]
  (.mkdir fetch.target.parent)
  (.write-text fetch.target "what was there before")
  (.write-text (/ tmp-path "wrong.txt") wrong)
  (setv done (fetch (/ tmp-path "wrong.txt")))
  (assert (= done.returncode 1))
  (assert (one-line done.stderr))
  (assert (in "is not tiny Shakespeare" done.stderr))
  (assert (= (.read-text fetch.target) "what was there before"))
  (assert (= (files fetch.target.parent) ["tinyshakespeare.txt"])))

(defn [(pytest.mark.parametrize #("arguments" "words") [
        #(["/nowhere/at-all.txt"] "could not read /nowhere/at-all.txt")
        #(["a" "b"]               "takes one file")
        #(["--force"]             "takes one file")])]
      test-fetch-answers-a-wrong-request [fetch arguments words]
  (setv done (fetch #* arguments))
  (assert (= done.returncode 2))
  (assert (one-line done.stderr))
  (assert (in words done.stderr))
  (assert (= (files fetch.target.parent) [])))

(defclass Quiet [SimpleHTTPRequestHandler]
  "A file server that keeps its log to itself."
  (defn log-message [self #* _]
    None))

(defn [pytest.fixture] server [tmp-path]
  "The address of a server of the files in tmp-path."
  (setv server (ThreadingHTTPServer #("127.0.0.1" 0) (partial Quiet :directory (str tmp-path))))
  (.start (threading.Thread :target server.serve-forever :daemon True))
  (yield f"http://127.0.0.1:{server.server-port}")
  (.shutdown server)
  (.server-close server))

(defn test-fetch-over-the-network [fetch server tmp-path shakespeare]
  (shutil.copy shakespeare (/ tmp-path "input.txt"))
  (setv done (fetch f"{server}/input.txt"))
  (assert (= #(done.returncode done.stderr) #(0 "")))
  (assert (= (.read-bytes fetch.target) (.read-bytes shakespeare))))

(defn test-fetch-when-the-network-fails [fetch server]
  (setv done (fetch f"{server}/not-there.txt"))
  (assert (= done.returncode 1))
  (assert (one-line done.stderr))
  (assert (in "could not fetch" done.stderr))
  (assert (= (files fetch.target.parent) [])))


;; tests/conftest.py, on small test files of its own

(defn [pytest.fixture] pytest-says [tmp-path root]
  "(pytest-says SOURCE) -> #(exit status, output) of pytest, with our conftest, on a file of that."
  (for [path [(/ root "tests" "conftest.py") (/ root "pyproject.toml")]]
    (shutil.copy path tmp-path))
  (fn [source [CI ""]]
    (.write-text (/ tmp-path "test_it.hy") (+ "(import pytest)\n" source))
    (setv done (run [sys.executable "-m" "pytest" "-q" "test_it.hy"]
                   :cwd tmp-path  :CI CI  :PYTEST-ADDOPTS ""))
    #(done.returncode done.stdout)))

(defn test-failed-asserts-show-values [pytest-says]
  (setv [status output] (pytest-says "(defn test-it [] (assert (= (+ 20 22) (len \"abc\"))))"))
  (assert (= status 1))
  (assert (in "assert (20 + 22) == 3" output)))

(defn test-a-forgotten-assert-fails [pytest-says]
  (setv [status output] (pytest-says "(defn test-it [] (= 1 2))"))
  (assert (= status 1))
  (assert (in "PytestReturnNotNoneWarning" output)))

(defn [(pytest.mark.parametrize #("CI" "wanted") [#("" 0) #("false" 0) #("true" 1)])]
      test-a-skip-is-a-failure-in-CI [pytest-says CI wanted]
  (setv [status output] (pytest-says "(defn test-it [] (pytest.skip \"not today\"))" CI))
  (assert (= status wanted))
  (assert (= (in "with CI set that is a failure" output) (= wanted 1))))

(defn test-a-test-for-a-GPU-is-left-out-and-named [pytest-says monkeypatch]
  (.setenv monkeypatch "CUDA_VISIBLE_DEVICES" "")
  (setv [status output] (pytest-says "(defn [pytest.mark.cuda] test-it [] (assert False))
                                      (defn test-other [])" "true"))
  (assert (= status 0))
  (assert (in "1 tests need an NVIDIA GPU and there is none here: left out" output)))
