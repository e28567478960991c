"Token files: the same corpus as the text's, in little memory; and nothing in them is believed."

(import  dataclasses [replace]
         errno
         json
         mmap
         os
         pathlib [Path]
         subprocess
         sys
         time [perf-counter]
         hypothesis [given settings strategies :as st]
         numpy :as np
         pytest
         safetensors.torch [load-file]
         torch
         asking [asker quick refused]
         checkpoints [framed refusal]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [read-meta]
         nanogpt-hy.lab.checkpoints.metadata [digest]
         nanogpt-hy.lab.data.chain-files [write-data]
         nanogpt-hy.lab.data.corpus :as corpora
         nanogpt-hy.lab.data.corpus [read-corpus]
         nanogpt-hy.lab.data.counting :as counting
         nanogpt-hy.lab.data.encoding :as encoding
         nanogpt-hy.lab.data.markov [ab-chain]
         nanogpt-hy.lab.data.prepare [prepare-text]
         nanogpt-hy.lab.data.texts :as texts
         nanogpt-hy.lab.data.token-files [KEY token-header Tokens]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer tokenizer-json]
         nanogpt-hy.lab.training.evaluation [all-of yardsticks]
         nanogpt-hy.lab.training.resume [resume-run]
         nanogpt-hy.lab.training.saving [save state-tensors]
         nanogpt-hy.lab.training.session [begin go judge new-run]
         nanogpt-hy.lab.training.trainer [steps])

(setv PROSE (* "Der Bär sagt: »Öl, don't!«\r\n\tзима 寒い 🐻\u200d❄️ it's  2 x 2 = 4.   \n\n" 40)
      TEXTS {"prose"       PROSE
             "one line"    (* "abc déf" 50)
             "a character" "x"
             "newlines"    (* "\n" 30)
             "even lines"  (* "ab\nba\n" 20)
             "wide lines"  (* "aé寒🐻\r\n" 20)}
      anything (settings :max-examples 60 :deadline None))

(defn written [folder text [name "t.txt"]]
  "A file in FOLDER that holds TEXT, with these bytes and no others."
  (setv path (/ folder name))
  (.write-bytes path (.encode text "utf-8"))
  path)

(defn prepared [path #** how]
  "-> Path: the token file of the text at PATH."
  (setv out (.with-suffix path ".tokens"))
  (prepare-text path out :overwrite True #** how)
  out)

(defn same-corpus [a b]
  "Assert that two corpora say the same, but for where they are."
  (for [part ["train" "val"]]
    (setv [x y] (lfor  corpus [a b]  (cut (getattr corpus part) None)))
    (assert (and (= x.dtype y.dtype torch.int64) (torch.equal x y))))
  (assert (= (.state a.tokenizer) (.state b.tokenizer)))
  (assert (= (list a.starts) (list b.starts)))          ; the order too: samples are drawn from it
  (for [fact ["sha256" "characters" "val_characters" "starts" "line_tokens" "chain"]]
    (assert (= (getattr a fact) (getattr b fact)) fact)))

;;; The same corpus

(defn [(pytest.mark.parametrize "block" [1 7 1,000,000])
       (pytest.mark.parametrize "spec" ["char" "byte" "bpe:280"])
       (pytest.mark.parametrize "kind" TEXTS)]
    test-a-token-file-is-its-text [tmp-path monkeypatch kind spec block]
  "However the bytes are cut that are read at once, characters of several bytes among them."
  (setv path  (written tmp-path (get TEXTS kind))
        whole (read-corpus path :tokenizer spec))
  (monkeypatch.setattr texts "BLOCK" block)
  (same-corpus whole (read-corpus (prepared path :tokenizer spec)))
  (same-corpus whole (read-corpus path :tokenizer spec)))

(defn [(pytest.mark.parametrize "block" [1 2 1,000,000])]
    test-the-mark-that-some-editors-begin-a-file-with-is-no-text [tmp-path monkeypatch block]
  "Only the first one; in the middle it is a character like any other, a space without width."
  (setv text    (* "aé\ufeffb\n" 30)
        plain   (read-corpus (written tmp-path text "plain.txt"))
        marked  (written tmp-path (+ "\ufeff" text) "marked.txt"))
  (monkeypatch.setattr texts "BLOCK" block)
  (for [corpus [(read-corpus marked) (read-corpus (prepared marked))]]
    (same-corpus (replace plain :sha256 corpus.sha256) corpus)))

(defn [(given (.filter (st.text :min-size 1) (fn [text] (not (.startswith text "\ufeff")))))
       anything]
    test-any-text [tmp-path-factory text]
  (setv text (.replace text "\0" "0")
        path (written (.mktemp tmp-path-factory "any") text))
  (for [spec ["char" "byte"]]
    (setv corpus (read-corpus (prepared path :tokenizer spec))
          ids    (.tolist (torch.cat [(cut corpus.train None) (cut corpus.val None)])))
    (same-corpus corpus (read-corpus path :tokenizer spec))
    (assert (= (.decode corpus.tokenizer ids) text))
    (assert (= (sum (.values corpus.starts))
               (len (lfor  line (.split (.decode corpus.tokenizer (.tolist (cut corpus.train None)))
                                        "\n")
                           :if line line))))))

(defn test-the-chain-comes-along [tmp-path]
  (write-data (/ tmp-path "ab.txt") (ab-chain) 300 :seed 1)
  (setv corpus (read-corpus (prepared (/ tmp-path "ab.txt"))))
  (assert (= corpus.chain (ab-chain)))
  (assert (= corpus.line-tokens 9))
  (same-corpus corpus (read-corpus (/ tmp-path "ab.txt"))))

(defn [(pytest.mark.parametrize #("size" "kind") [#(256 "U8") #(257 "U16") #(65537 "U32")])]
    test-others-read-it [tmp-path size kind]
  "Ids are as narrow as may be, and begin where 8 divides the place."
  (setv text (.join "" (gfor  code (range 1 0x20000)
                              :if (not (<= 0xd800 code 0xdfff))
                              (chr code)))
        path (prepared (written tmp-path (cut text size)))
        data (.read-bytes path)
        ids  (get (load-file path) "tokens"))
  (assert (= (get (json.loads (cut data 8 (+ 8 (int.from-bytes (cut data 8) "little"))))
                  "tokens" "dtype")
             kind))
  (assert (= 0 (% (- (len data) (* (len ids) ids.itemsize)) 8)))
  (assert (= (.tolist (.long ids)) (list (range size))))
  (setv corpus (read-corpus path))
  (assert (= (.tolist (cut corpus.val None)) (cut (list (range size)) (int (* 0.9 size)) None))))

(defn test-ids-come-as-they-are-asked-for []
  (setv ids (Tokens (np.array [3 1 2 0] "<u2") 4 "x"))
  (assert (= (len ids) 4))
  (assert (torch.equal (get ids (torch.tensor [[0 1] [3 3]])) (torch.tensor [[3 1] [0 0]])))
  (assert (= (.tolist (cut ids 1 None)) [1 2 0]))
  (assert (= (.tolist (cut ids 0)) []))
  (setv ids (Tokens (np.array [3 1 2 0] "<u2") 3 "x"))
  (assert (= (.tolist (cut ids 1 None)) [1 2 0]))
  (assert (in "holds the id 3, and its tokenizer has only 3" (refusal ids.__getitem__ (slice 1)))))

(defn test-pieces-are-learned-from-a-sample [tmp-path monkeypatch]
  "Evenly spread, and the same for the text and its token file."
  (monkeypatch.setattr texts "BLOCK" 500)
  (monkeypatch.setattr corpora "LEARNED" 4000)
  (setv path (written tmp-path (+ (* "the cat sat " 800) (* "on a mat; " 800))))
  (setv text (corpora.sample (texts.Text path)))
  (assert (< 2000 (len text) 6000))
  (assert (and (in "cat" text) (in "mat" text)))
  (same-corpus (read-corpus path :tokenizer "bpe:300")
               (read-corpus (prepared path :tokenizer "bpe:300"))))

(defn test-pieces-need-a-place-to-cut [tmp-path monkeypatch]
  (monkeypatch.setattr texts "BLOCK" 100)
  (monkeypatch.setattr encoding "MOST_UNCUT" 1000)
  (setv path (written tmp-path (* "ab" 2000)))
  (assert (in "without white space" (refusal prepared path :tokenizer "bpe:300")))
  (assert (prepared path :tokenizer "char")))

(defn test-a-tokenizer-that-wants-the-whole-text [tmp-path]
  (setv spec  (json.loads (. (make-tokenizer "bpe:280" PROSE) json))
        size  (len (get spec "model" "vocab"))
        token {"id" size  "content" "a b"  "special" False  "single_word" False
               "lstrip" False  "rstrip" False  "normalized" False})
  (.append (get spec "added_tokens") token)
  (setv file (written tmp-path (json.dumps spec) "tokenizer.json")
        path (written tmp-path PROSE))
  (assert (in "white space in them" (refusal prepared path :tokenizer (str file))))
  (assert (read-corpus path :tokenizer (str file))))

;;; In little memory, at once

(setv MEASURE "
import resource, sys, hy
from nanogpt_hy.lab.data.prepare import prepare_text
def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = used()
prepare_text(sys.argv[1], sys.argv[2])
print(used() - before)")

(defn test-a-long-text-takes-little-memory [tmp-path]
  "Fifty megabytes of text, in fewer than that, of which numpy's tables are the most."
  (setv path (written tmp-path (* PROSE 16,000))
        done (subprocess.run [sys.executable "-c" MEASURE path (/ tmp-path "out")]
                             :capture-output True :text True :check True))
  (assert (> (. (.stat path) st-size) 50,000,000))
  (assert (< (float done.stdout) 40)))

(defn huge [folder]
  "A token file of four billion ids, almost all of it a hole in the disk that reads as zeros."
  (setv path  (/ folder "huge.tokens")
        count 4,000,000,000
        facts {"tokenizer" {"kind" "byte"}  "sha256" (* "0" 64)  "characters" count
               "val_characters" 400,000,000  "train_tokens" 3,600,000,000
               "starts" {"a" 1}  "line_tokens" None  "chain" None}
        head  (token-header facts "U8" count))
  (.write-bytes path head)
  (os.truncate path (+ (len head) count))
  path)

(defn marks [run]
  "What the first lines of a RUN that is judged by random windows say."
  (yardsticks run.corpus run.config.block-size :drawn True))

(defn test-a-huge-one-is-not-read-to-begin [tmp-path]
  "Nothing that comes before the first step, or after it, looks at all of it."
  (setv path    (huge tmp-path)
        options {"preset_name" "shakespeare-cpu"  "n_layer" 1  "n_embd" 8  "eval_iters" "auto"
                 "eval_interval" 1  "device" "cpu"}
        started (perf-counter)
        run     (new-run (str path) #** options))
  (assert (= (get (marks run) "counting pairs") (pytest.approx 0 :abs 1e-3)))      ; all zeros
  (steps run 2)
  (judge run)
  (assert (< (- (perf-counter) started) 10)))

(defn test-counting-looks-at-the-beginning [tmp-path monkeypatch]
  (setv corpus (read-corpus (prepared (written tmp-path (+ (* "ab" 500) (* "abba" 500))))))
  (setv whole (counting.counting-loss corpus 1))
  (monkeypatch.setattr counting "COUNTED" 300)
  (setv part (counting.counting-loss corpus 1))
  (assert (!= whole part))
  (assert (= part (counting.count-loss (.numpy (cut corpus.train 300)) (.numpy (cut corpus.val 300))
                                       2 1))))

;;; The same steps

(defn small [text #** options]
  (new-run (str text) #** {"preset_name" "ab"  "n_layer" 1  "n_embd" 8  "batch_size" 8
                           "max_iters" 40  "eval_interval" 20  "dropout" 0.1
                           "device" "cpu"  #** options}))

(defn same-state [a b]
  "Assert that two runs hold the same bits in all that the next step depends on."
  (setv [x y] (list (map state-tensors [a b])))
  (assert (= (set x) (set y)))
  (for [name x]
    (assert (torch.equal (get x name) (get y name)) name))
  (assert (= #(a.step a.best a.loss) #(b.step b.best b.loss))))

(defn [(pytest.mark.parametrize "options" [{} {"eval_iters" 3} {"block_size" 6}
                                           {"draws" "published"} {"stage" "gpt"}])]
    test-a-run-on-it-takes-the-same-steps [tmp-path options]
  (write-data (/ tmp-path "ab.txt") (ab-chain) 300 :seed 1)
  (setv path (/ tmp-path "ab.txt")
        runs (lfor  p [path (prepared path)]  (small p #** options)))
  (assert (= (marks (get runs 0)) (marks (get runs 1))))
  (for [run runs]
    (go run))
  (same-state #* runs))

(defn [(pytest.mark.parametrize "order" [[0 1] [1 0]])]
    test-a-run-goes-on-with-either [tmp-path order]
  "Begun on the text, gone on with on its token file, and the other way round."
  (setv path  (written tmp-path PROSE)
        files [path (prepared path)]
        [first then] (lfor  i order  (str (get files i)))
        whole (small first)
        part  (begin (small first :folder (/ tmp-path "run"))))
  (go whole)
  (judge part)
  (steps part 20)
  (judge part)
  (save part)
  (setv resumed (resume-run then :folder (/ tmp-path "run")))
  (go resumed)
  (same-state whole resumed))

(defn test-batches-of-lines-are-the-same [tmp-path]
  (setv path (written tmp-path (get TEXTS "even lines"))
        [a b] (lfor  p [path (prepared path)]
                :setv corpus (read-corpus p)
                (list (all-of corpus corpus.val 16 :every 2))))
  (assert (= (len a) (len b) 1))
  (for [[x y] (zip (get a 0) (get b 0))]
    (assert (torch.equal x y))))

;;; On the command line

(defn [pytest.fixture] ask [tmp-path monkeypatch capsys]
  "Commands, run in a folder with a text, prose.txt."
  (written tmp-path PROSE "prose.txt")
  (.chdir monkeypatch tmp-path)
  (asker capsys))

(defn test-a-token-file-is-no-checkpoint [ask]
  (prepare-text "prose.txt" "p.tokens" :tokenizer "char")
  (refused (ask "sample" "--ckpt" "p.tokens") "p.tokens is a token file" "where a text goes"))

(defn works [said]
  (assert (= said.code 0) said)
  said)

(defn test-wherever-a-text-is-taken [ask tmp-path]
  (setv said (works (ask "prepare" "prose.txt" "prose.tokens")))
  (assert (= said.out "prose.tokens\n"))
  (assert (in f"{(len PROSE) :,} characters, {(len (set PROSE))} distinct tokens" said.err))
  (for [[name text] [["a" "prose.txt"] ["b" "prose.tokens"]]]
    (works (ask "train" text "--out" f"runs/{name}" #* (quick))))
  (setv [a b] (lfor  name "ab"  (. (works (ask "sample" "--ckpt" f"runs/{name}" "--seed" 1)) out)))
  (assert (= a b))
  (assert (= "prose.tokens" (get (read-meta "runs/b") "data" "path")))
  (setv losses (lfor  words [["--ckpt" "runs/a"] ["--ckpt" "runs/b"]
                             ["prose.tokens" "--ckpt" "runs/a"] ["prose.txt" "--ckpt" "runs/b"]]
                 (get (json.loads (. (works (ask "eval" "--json" #* words)) out)) "loss")))
  (assert (= 1 (len (set losses))))
  (for [what ["positions" "truth" "loss" "attention" "next"]]
    (setv [a b] (lfor  name "ab"
                  :setv said (works (ask "inspect" what "--ckpt" f"runs/{name}" "--json"))
                  (json.loads said.out)))
    (for [data [a b]]
      (.pop data "text" None)
      (.pop data "run" None))
    (assert (= a b) what))
  (works (ask "ladder" "prose.tokens" "--stages" "bigram" "--seeds" 1 "--steps" 2))
  (assert (in "1 of them are in" (. (works (ask "ladder" "prose.txt" "--out" "runs/ladder-prose"
                                                "--stages" "bigram" "--seeds" 1 "--steps" 2)) err)))
  (assert (works (ask "train" "prose.tokens" "--init-from" "runs/a" "--out" "runs/c"
                      "--max-iters" 2 "--eval-iters" 1))))

(defn test-another-tokenizer-than-it-has [ask]
  (works (ask "prepare" "prose.txt" "p.tokens" "--tokenizer" "bpe:300"))
  (works (ask "train" "p.tokens" "--tokenizer" "bpe:300" #* (quick)))
  (for [spec ["char" "byte" "bpe:299"]]
    (refused (ask "train" "p.tokens" "--tokenizer" spec #* (quick)) "p.tokens was prepared with"
             f"the tokenizer bpe:300, not {spec}" "leave out --tokenizer")
    (refused (ask "ladder" "p.tokens" "--tokenizer" spec) f"not {spec}"))
  (works (ask "prepare" "prose.txt" "b.tokens" "--tokenizer" "byte"))
  (for [spec ["char" "bpe:300"]]
    (refused (ask "train" "b.tokens" "--tokenizer" spec #* (quick))
             f"the tokenizer byte, not {spec}"))
  (works (ask "train" "prose.txt" "--out" "runs/char" #* (quick)))
  (refused (ask "eval" "p.tokens" "--ckpt" "runs/char") "the model has another one"))

(defn test-another-alphabet-of-the-same-size [tmp-path]
  (setv path (prepared (written tmp-path (* "abba\n" 20))))
  (assert (in "the model has another one"
              (refusal read-corpus path :tokenizer (make-tokenizer "char" "xy\n"))))
  (assert (read-corpus path :tokenizer (make-tokenizer "char" "ab\n"))))

(defn test-more-pieces-than-a-text-has-may-be-asked-for [ask]
  (works (ask "prepare" "prose.txt" "p.tokens" "--tokenizer" "bpe:5000"))
  (setv size (. (read-corpus "p.tokens") tokenizer vocab-size))
  (assert (< size 5000))
  (for [n [size 5000]]
    (read-corpus "p.tokens" :tokenizer f"bpe:{n}"))
  (refused (ask "train" "p.tokens" "--tokenizer" f"bpe:{(- size 1)}")
           f"prepared with the tokenizer bpe:{size}, not bpe:{(- size 1)}"))

(defn test-a-folder-with-a-tokenizer [ask tmp-path]
  (setv made (make-tokenizer "bpe:280" PROSE))
  (written tmp-path (tokenizer-json made) "tokenizer.json")
  (works (ask "prepare" "prose.txt" "p.tokens" "--tokenizer" "tokenizer.json"))
  (assert (= (.state (. (read-corpus "p.tokens" :tokenizer "tokenizer.json") tokenizer))
             (.state made))))

(defn test-what-is-there-stays [ask tmp-path]
  (written tmp-path "old" "p.tokens")
  (refused (ask "prepare" "prose.txt" "p.tokens") "p.tokens is there already" "--force")
  (assert (= (.read-bytes (/ tmp-path "p.tokens")) b"old"))
  (works (ask "prepare" "prose.txt" "p.tokens" "--force"))
  (read-corpus "p.tokens")
  (refused (ask "prepare" "prose.txt" "prose.txt" "--force") "is the text itself")
  (refused (ask "prepare" "prose.txt" ".") "is a folder")
  (refused (ask "prepare" "prose.txt" "no/p.tokens") "does not exist")
  (assert (= (.read-bytes (/ tmp-path "prose.txt")) (.encode PROSE "utf-8"))))

(defn test-what-comes-meanwhile-stays [tmp-path]
  "It may take long to prepare a text."
  (setv text (written tmp-path PROSE)
        out  (/ tmp-path "p.tokens"))
  (with [_ (pytest.raises RequestError :match "is there already")]
    (prepare-text text out :told (fn [count] (.write-text out "another's"))))
  (assert (= "another's" (.read-text out)))
  (assert (not (list (.glob tmp-path ".*")))))

(defn test-as-many-pieces-as-characters-are-no-lines [tmp-path]
  "Lines of one length have as many characters each; how many pieces each has is another thing."
  (setv text   (written tmp-path (+ (* "éèqr\n" 56) (* "abab\n" 56)))
        corpus (read-corpus text :tokenizer "bpe:257"))
  (assert (= corpus.characters (+ (len corpus.train) (len corpus.val))))
  (assert (is corpus.line-tokens None))
  (for [kind ["char" "byte"]]
    (assert (= (. (read-corpus text :tokenizer kind) line-tokens)
               (if (= kind "char") 5 None)))))

(defn test-a-file-that-cannot-be-mapped [ask monkeypatch]
  (works (ask "prepare" "prose.txt" "p.tokens"))
  (defn refuse [#* _ #** how]
    (raise (OSError errno.ENOMEM "Cannot allocate memory")))
  (monkeypatch.setattr mmap "mmap" refuse)
  (setv said (ask "train" "p.tokens"))
  (assert (= said.code 1))
  (assert (in "p.tokens cannot be mapped into memory (Cannot allocate memory)" said.err)))

(setv BAD {"binary"        #(b"abcd\0\n"                    "bad.txt is binary (byte 4 is 0)")
           "no utf-8"      #((+ (* b"a" 9) b"\xff\n")       "bad.txt is not UTF-8 text (byte 9 is")
           "broken off"    #((+ (* b"a" 8) b"\xe5\xaf")     "(byte 8 is 0xe5)")
           "across blocks" #((+ b"\xc3\xa9ab\xe5" b"\xafab") "(byte 4 is 0xe5)")
           "empty"         #(b""                            "bad.txt is empty")})

(defn [(pytest.mark.parametrize "kind" BAD)]
    test-a-text-that-cannot-be-read [ask tmp-path monkeypatch kind]
  (setv [data words] (get BAD kind))
  (monkeypatch.setattr texts "BLOCK" 3)
  (.write-bytes (/ tmp-path "bad.txt") data)
  (for [command [["prepare" "bad.txt" "p.tokens"] ["train" "bad.txt"]]]
    (refused (ask #* command) words))
  (refused (ask "prepare" "no.txt" "p.tokens") "there is no file no.txt")
  (refused (ask "prepare" "prose.txt" "p.tokens" "--tokenizer" "words") "the tokenizer 'words'")
  (assert (= (sorted (os.listdir tmp-path)) ["bad.txt" "prose.txt"])))

(defn test-a-pipe-is-no-text [ask tmp-path]
  (setv [out in] (os.pipe))
  (os.write in b"abc")
  (os.close in)
  (refused (ask "prepare" f"/dev/fd/{out}" "p.tokens") "is no regular file" "write it into a file")
  (os.close out)
  (os.mkfifo "fifo")                    ; nobody writes to it, and nothing waits for that
  (for [command [["prepare" "fifo" "p.tokens"] ["train" "fifo"]]]
    (refused (ask #* command) "fifo is no regular file")))

;;; Written whole or not at all

(defn [(pytest.mark.parametrize "blocks" [1 5 30])]
    test-ctrl-c-leaves-nothing-behind [tmp-path monkeypatch blocks]
  (monkeypatch.setattr texts "BLOCK" 200)
  (setv path (written tmp-path PROSE)
        left [blocks])
  (defn told [count]
    (setv (get left 0) (- (get left 0) 1))
    (when (= 0 (get left 0))
      (raise (KeyboardInterrupt))))
  (with [_ (pytest.raises KeyboardInterrupt)]
    (prepare-text path (/ tmp-path "out") :told told))
  (assert (= (os.listdir tmp-path) ["t.txt"])))

(defn dated [path time]
  (os.utime path :ns #(time time)))

(defn longer [path]
  (with [file (open path "ab")]
    (.write file b"Der"))
  (dated path 0))

(defn another [path]
  "A file of the same length and time in its place."
  (setv file (written path.parent (.upper PROSE) "another"))
  (os.truncate file (. (.stat path) st-size))
  (dated file 0)
  (os.replace file path))

(defn touched [path]
  (dated path 1,000,000,000))

(defn [(pytest.mark.parametrize "change" [longer another touched])]
    test-a-text-that-changes-meanwhile [tmp-path change]
  "Its length, its time or the file itself: each shows."
  (setv path (written tmp-path PROSE)
        read [0])
  (dated path 0)
  (defn told [count]
    (setv (get read 0) (+ (get read 0) 1))
    (when (= 2 (get read 0))                     ; the second reading
      (change path)))
  (assert (in "changed while it was read"
              (refusal prepare-text path (/ tmp-path "out") :told told)))
  (assert (= (os.listdir tmp-path) ["t.txt"])))

;;; What a stranger may have written

(defn tampered [path change * [honest True]]
  "Let CHANGE edit the facts, the tensor's entry and the ids of the token file PATH."
  (setv data  (.read-bytes path)
        end   (+ 8 (int.from-bytes (cut data 8) "little"))
        head  (json.loads (cut data 8 end))
        facts (json.loads (get head "__metadata__" KEY))
        entry (get head "tokens")
        ids   (bytearray (cut data end None)))
  (change facts entry ids)
  (when honest
    (setv (get facts "digest")
          (digest facts {"tokens" #((get entry "dtype") (get entry "shape"))})))
  (setv (get head "__metadata__" KEY) (json.dumps facts))
  (.write-bytes path (framed (json.dumps head) (bytes ids)))
  path)

(setv LIES
  {"format"      ["update nanogpt-hy"  {"format" 2}]
   "format text" ["number of its format"  {"format" "2"}]
   "format 0"    ["number of its format"  {"format" 0}]
   "tokenizer"   ["tokenizer of the kind"  {"tokenizer" {"kind" "words"}}]
   "no chars"    ["chars"  {"tokenizer" {"kind" "char"  "chars" []}}]
   "sha256"      ["sha256"  {"sha256" "../../etc"}]
   "long sha256" ["sha256"  {"sha256" (* "0" 65)}]
   "characters"  ["characters"  {"characters" -1}]
   "a text"      ["characters"  {"characters" "7"}]
   "val"         ["val_characters"  {"val_characters" 0}]
   "more val"    ["val_characters"  {"val_characters" 100,000}]
   "train"       ["train_tokens"  {"train_tokens" 100,000}]
   "train true"  ["train_tokens"  {"train_tokens" True}]
   "starts"      ["starts"  {"starts" {"ab" 1}}]
   "no start"    ["starts"  {"starts" {"a" 0}}]
   "half a start" ["starts"  {"starts" {"a" 1.5}}]
   "starts list" ["starts"  {"starts" ["a"]}]
   "line"        ["line_tokens"  {"line_tokens" 17}]
   "line zero"   ["line_tokens"  {"line_tokens" 0}]
   "line one"    ["line_tokens"  {"line_tokens" 1}]
   "half lines"  ["line_tokens"  {"train_tokens" 7  "line_tokens" 40}]
   "more than lines" ["line_tokens"  {"train_tokens" 77  "line_tokens" 77}]
   "chain"       ["lacks"  {"chain" {"chars" "ab"}}]
   "chain list"  ["chain"  {"chain" [1]}]
   "chain int"   ["chain"  {"chain" 5}]
   "no words"    ["has no tokenizer"  {"tokenizer" None}]})

(defn [(pytest.mark.parametrize "lie" LIES)] test-a-lie-is-refused [tmp-path lie]
  (setv [words values] (get LIES lie)
        path (prepared (written tmp-path PROSE)))
  (tampered path (fn [facts entry ids] (.update facts values)))
  (setv text (refusal read-corpus (str path)))
  (assert (and (in words text) (in (str path) text))))

(defn test-a-fallen-bit-shows [tmp-path]
  (setv path (prepared (written tmp-path PROSE)))
  (for [change [(fn [facts entry ids] (.update facts {"characters" 7}))
                (fn [facts entry ids] (.pop facts "digest"))]]
    (tampered path change :honest False)
    (assert (in "its own digest" (refusal read-corpus (str path))))))

(defn [(pytest.mark.parametrize #("dtype" "shape") [#("I64" [10]) #("U8" [2 40]) #("F32" [20])
                                                    #("U8" [0])])]
    test-what-is-no-row-of-ids [tmp-path dtype shape]
  (setv path (prepared (written tmp-path (* "ab" 40)))
        size (* (get {"I64" 8  "U8" 1  "F32" 4} dtype) (int (np.prod shape))))
  (tampered path (fn [facts entry ids]
                   (.update entry {"dtype" dtype  "shape" shape  "data_offsets" [0 size]})
                   (.update facts {"train_tokens" 0})
                   (setv (cut ids size None) b"")))
  (assert (in "not a row of ids" (refusal read-corpus (str path)))))

(defn test-more-than-one-tensor [tmp-path]
  "What is mapped are the file's last numbers, and these would be another's."
  (setv path (prepared (written tmp-path PROSE)))
  (with [file (open path "rb")]
    (setv data (.read file)))
  (setv end   (+ 8 (int.from-bytes (cut data 8) "little"))
        head  (json.loads (cut data 8 end))
        size  (- (len data) end)
        more  {"dtype" "U8"  "shape" [4]  "data_offsets" [size (+ size 4)]}
        facts (json.loads (get head "__metadata__" KEY))
        kinds (dfor  [name e] [["tokens" (get head "tokens")] ["more" more]]
                     name #((get e "dtype") (get e "shape")))
        facts {#** facts  "digest" (digest facts kinds)})
  (.write-bytes path (framed (json.dumps {#** head  "more" more
                                          "__metadata__" {KEY (json.dumps facts)}})
                             (+ (cut data end None) b"1234")))
  (assert (in "no text and no token file" (refusal read-corpus (str path)))))

(defn [(pytest.mark.parametrize "bytes" [-1 1 -2000])] test-another-length [tmp-path bytes]
  (setv path (prepared (written tmp-path PROSE)))
  (os.truncate path (+ (. (.stat path) st-size) bytes))
  (assert (in (if (> bytes 0) "damaged" "cut short") (refusal read-corpus (str path)))))

(defn test-ids-that-no-token-has [ask]
  "Wherever they are met, there is one line; nothing reads beyond a table."
  (works (ask "train" "prose.txt" "--out" "runs/a" #* (quick)))
  (works (ask "prepare" "prose.txt" "p.tokens"))
  (tampered (Path "p.tokens") (fn [facts entry ids] (setv (cut ids None) (* b"\xfe" (len ids)))))
  (for [command [["train" "p.tokens" #* (quick)] ["eval" "p.tokens" "--ckpt" "runs/a"]
                 ["inspect" "truth" "--text" "p.tokens" "--ckpt" "runs/a"]
                 ["inspect" "positions" "--text" "p.tokens" "--ckpt" "runs/a"]]]
    (refused (ask #* command) "p.tokens is damaged: it holds the id 254" "prepare the text again")))

(defn test-a-chain-that-is-not-the-texts [ask tmp-path]
  "Its floor would be a wrong one, and its tables have no row for other characters."
  (write-data (/ tmp-path "ab.txt") (ab-chain) 300 :seed 1)
  (works (ask "train" "ab.txt" "--out" "runs/ab" #* (quick)))
  (prepared (/ tmp-path "ab.txt"))
  (tampered (/ tmp-path "ab.tokens")
            (fn [facts entry ids] (setv (get facts "chain" "chars") "xy")))
  (refused (ask "eval" "ab.tokens" "--ckpt" "runs/ab") "none of its chain's"))

(defn test-a-text-that-begins-like-a-token-file [tmp-path]
  "All but the length: one of ASCII would say that the header has exabytes."
  (setv text "section {\n}\n")
  (assert (= (get text 8) "{"))
  (assert (= (. (read-corpus (written tmp-path text)) characters) (len text))))

(defn test-a-checkpoint-is-no-token-file [ask]
  (works (ask "train" "prose.txt" "--out" "runs/a" #* (quick)))
  (refused (ask "train" "runs/a/best.safetensors") "no text and no token file" "name a text"))
