"The a/b chain and every other: drawing, files, exact floors, counting."

(import  dataclasses [FrozenInstanceError replace]
         itertools [product]
         math [isclose isinf log]
         os
         pathlib [Path]
         re
         subprocess
         sys
         numpy :as np
         pytest
         hypothesis [given settings strategies :as st]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.markov :as markov
         nanogpt-hy.lab.markov [Chain ab-chain chain-beside count-loss draw-lines floor
                                floors-by-context floors-by-position line-length
                                next-probabilities read-chain window-floor write-chain
                                write-data])

(setv DATA (/ (. (Path __file__) parent parent) "data"))

;;; Chains to try the laws on

(defn [st.composite] weights [draw n]
  "n probabilities, zeros among them."
  (setv parts (draw (.filter (st.lists (st.integers 0 4) :min-size n :max-size n) any)))
  (lfor p parts (/ p (sum parts))))

(defn [st.composite] chains [draw [longest 6]]
  (setv letters (st.characters :exclude-characters "\n" :exclude-categories ["Cs"])
        chars   (draw (st.lists letters :min-size 1 :max-size 3 :unique True))
        n       (len chars))
  (Chain (.join "" chars)
         (draw (weights n))
         (lfor _ chars (draw (weights n)))
         (draw (st.integers 1 longest))))

(defn line-probabilities [chain]
  "Chain -> {line: p}, by trying every line."
  (setv out {})
  (for [cs (product (range (len chain.chars)) :repeat chain.line-length)]
    (setv p (get chain.start (get cs 0)))
    (for [[i j] (zip cs (cut cs 1 None))]
      (setv p (* p (get chain.transitions i j))))
    (when (> p 0)
      (setv (get out (+ (.join "" (gfor i cs (get chain.chars i))) "\n")) p)))
  out)

(defn enumerated [chain k]
  "Chain, k -> {context of k tokens: {next: p of both}}, by trying every run of whole lines."
  (setv lines (line-probabilities chain)
        width (+ chain.line-length 1)
        many  (+ (- (// (- k) width)) 1)          ; lines enough to hold a context, and one more
        out   {})
  (for [run (product lines :repeat many)]
    (setv text (.join "" run)
          p    (/ (np.prod (lfor line run (get lines line))) width))
    (for [i (range (- (len text) width) (len text))]
      (setv nexts (.setdefault out (cut text (- i k) i) {})
            c     (get text i)
            (get nexts c) (+ (.get nexts c 0.0) p))))
  out)

(defn entropy-of [contexts]
  (sum (gfor nexts (.values contexts)
             p     (.values nexts)
             (* p (log (/ (sum (.values nexts)) p))))))

(defn near [x y [within 1e-9]]
  (isclose x y :rel-tol 0 :abs-tol within))

(defn refused [#* words]
  "A context that wants a RequestError of one line with these words in it."
  (pytest.raises RequestError :match (+ "^" (.join "" (gfor w words f"(?=.*{(re.escape w)})"))
                                        "[^\n]*$")))


;;; Floors: the table of NUMBERS.md ("a/b strings"; lines that start with a)

(defn [(pytest.mark.parametrize
         "stay, length, full, bigram"
         [#(0.5 8 0.152829 0.457636) #(0.5 16 0.081544 0.293471)
          #(0.7 8 0.207614 0.511567) #(0.9 16 0.151854 None)])]
    test-the-floors-of-the-table [stay length full bigram]
  (setv chain (ab-chain :stay stay :length length :start "a"))
  (assert (near (floor chain) full 1e-6))
  (when bigram
    (assert (near (floor chain :context 1) bigram 1e-6))))

(defn [(pytest.mark.parametrize "stay" [0.1 0.5 0.7 0.9])] test-the-entropy-of-a-line [stay]
  "NUMBERS.md: h(p)(1 - p^(L-1))/(1-p) nats."
  (for [L [1 2 8 16]]
    (setv h      (- (- (* stay (log stay))) (* (- 1 stay) (log (- 1 stay))))
          wanted (/ (* h (- 1 (** stay (- L 1)))) (- 1 stay)))
    (assert (near (sum (floors-by-position (ab-chain :stay stay :length L :start "a"))) wanted))))

(defn test-the-default-chain []
  (setv chain (ab-chain))
  (assert (= chain (Chain "ab" #(0.5 0.5) #(#(0.5 0.5) #(0.0 1.0)) 8)))
  (assert (= (. (ab-chain :start "a") start) #(1.0 0.0)))
  ;; One bit for the first character, then h = ln 2 for each a that may end: 1/2 + 1/4 + ... 1/128.
  (assert (near (* 9 (floor chain)) (* (log 2) (+ 1 (- 1 (/ 1 128)))))))

(defn test-floors-by-position-of-the-default-chain []
  (setv floors (floors-by-position (ab-chain)))
  (assert (= floors (pytest.approx [#* (lfor i (range 8) (* (log 2) (** 0.5 i))) 0]))))

(defn [(settings :max-examples 30 :deadline None) (given (chains :longest 3))]
    test-floors-are-what-enumeration-gives [chain]
  (for [k (range (+ chain.line-length 3))]
    (assert (near (floor chain :context k) (entropy-of (enumerated chain k))))))

(defn [(settings :max-examples 30 :deadline None) (given (chains :longest 3))]
    test-next-probabilities-are-what-enumeration-gives [chain]
  (for [k (range (+ chain.line-length 3))
        [context nexts] (.items (enumerated chain k))]
    (setv told  (next-probabilities chain context)
          total (sum (.values nexts)))
    (assert (near (sum (.values told)) 1))
    (for [[c p] (.items told)]
      (assert (near p (/ (.get nexts c 0) total))))))

(defn [(settings :max-examples 100 :deadline None) (given (chains :longest 8))]
    test-more-context-never-hurts [chain]
  (setv floors (floors-by-context chain)
        L      chain.line-length)
  (assert (= (len floors) (+ L 1)))
  (assert (all (gfor [f g] (zip floors (cut floors 1 None)) (>= (+ f 1e-12) g))))
  (assert (all (gfor f floors (>= f -1e-12))))
  (assert (near (floor chain) (/ (sum (floors-by-position chain)) (+ L 1))))
  (for [k [L (+ L 1) 1000]]
    (assert (near (floor chain :context k) (floor chain)))))

(defn [(settings :max-examples 50 :deadline None)
       (given (chains :longest 8) (st.integers 1 20))]
    test-a-window-is-the-mean-of-its-contexts [chain block-size]
  (setv floors (lfor t (range block-size) (floor chain :context (+ t 1))))
  (assert (near (window-floor chain block-size) (/ (sum floors) block-size))))

(defn [(pytest.mark.parametrize "stay" [0 0.0 1 1.0])] test-certain-steps-cost-nothing [stay]
  (setv chain (ab-chain :stay stay :start "a"))
  (assert (= (floors-by-position chain) (* [0] 9)))
  (assert (= (floor chain) 0))
  (assert (all (gfor f (floors-by-context chain) (>= f 0))))     ; false for nan
  (assert (= (next-probabilities chain "\na") {"a" (float stay) "b" (- 1.0 stay) "\n" 0.0})))

(defn test-hidden-places-by-hand []
  ;; Lines of 2: aa 1/4, ab 1/4, bb 1/2.
  (setv chain (ab-chain :length 2))
  (for [[context odds] [["" [3 5 4]] ["a" [1 1 1]] ["b" [0 2 3]]]]
    (assert (= (next-probabilities chain context)
               (pytest.approx (dfor [c n] (zip "ab\n" odds) c (/ n (sum odds)))))))
  (assert (= (next-probabilities chain "b\n") {"a" 0.5 "b" 0.5 "\n" 0.0}))
  (assert (= (next-probabilities chain "ab") {"a" 0.0 "b" 0.0 "\n" 1.0})))

(defn [(pytest.mark.parametrize "context" ["c" "ba" "\nba" "aaaaaaaaa" "\n\n" "\nab\n" "\n\na"
                                           "ba\naaaaaaaa" "aaaaaaaaa\n"])]
    test-a-context-the-chain-never-gives [context]
  (with [_ (refused "never gives")]
    (next-probabilities (ab-chain) context)))

(defn test-a-context-that-cannot-be []
  (with [_ (refused "-1 tokens")]
    (floor (ab-chain) :context -1))
  (with [_ (refused "block-size is 0")]
    (window-floor (ab-chain) 0)))


;;; Long simulations: the counting model of order k comes to the floor of k tokens

(defn ids-of [text]
  (setv codes (np.frombuffer (.encode text "utf-32-le") "<u4"))
  (get (np.unique codes :return-inverse True) 1))

(defn [(pytest.mark.parametrize
         "chain"
         [(ab-chain) (ab-chain :stay 0.9 :length 5)
          (Chain "xyz" [0.2 0.3 0.5] [[0.1 0.6 0.3] [0.5 0.0 0.5] [0.25 0.25 0.5]] 4)]
         :ids ["ab" "long-a" "xyz"])]
    test-counting-a-long-text-comes-to-the-floors [chain]
  (setv ids (ids-of (draw-lines chain 200,000 :seed 5))
        V   (+ (len chain.chars) 1))
  (for [k (range (+ chain.line-length 1))]
    (assert (near (count-loss ids ids V k :smoothing 0) (floor chain :context k) 0.002))))

(defn test-drawn-frequencies []
  (setv text  (draw-lines (ab-chain) 100,000 :seed 2)
        lines (.split text "\n"))
  (assert (= (.pop lines) ""))
  (assert (= (len lines) 100,000))
  (for [[line p] (.items (line-probabilities (ab-chain)))]
    ;; Within 5 standard deviations.
    (assert (< (abs (- (.count lines (cut line -1)) (* 100,000 p))) (* 5 (** (* 100,000 p) 0.5)))))
  (assert (not-in "ba" text)))


;;; Drawing

(defn [(settings :max-examples 40 :deadline None)
       (given (chains) (st.integers 1 30) (st.integers 0 (** 2 40)))]
    test-drawn-lines-are-possible [chain count seed]
  (setv text (draw-lines chain count :seed seed))
  (assert (= (len text) (* count (+ chain.line-length 1))))
  (assert (= (line-length text :at-least 1) chain.line-length))
  (assert (<= (set (cut text None -1)) (set (+ chain.chars "\n"))))
  (assert (markov._fits chain text))
  (assert (= text (draw-lines chain count :seed seed)))
  (assert (.startswith (draw-lines chain (+ count 5) :seed seed) text)))

(defn [(pytest.mark.parametrize "chunk" [1 50 801])]
    test-chunks-do-not-change-the-text [monkeypatch chunk]
  (setv text (draw-lines (ab-chain) 1000 :seed 3))
  (monkeypatch.setattr markov "CHUNK" chunk)
  (assert (= (draw-lines (ab-chain) 1000 :seed 3) text)))

(defn test-one-seed-gives-these-bytes []
  ;; As drawn here on x86-64 with numpy 2.4; numpy promises the raw bits of PCG64 everywhere.
  (setv text (draw-lines (ab-chain) 10 :seed 1337))
  (assert (= text (cut (.read-text (/ DATA "ab.txt") :encoding "utf-8") 90)))
  (assert (!= text (draw-lines (ab-chain) 10 :seed 1338))))

(defn test-a-certain-last-character-is-never-passed []
  "Weights that sum to a little less than 1 never draw a character of weight 0."
  (setv third (/ 1 3)
        row   [(- third 1e-10) third third 0.0]
        limit (markov._thresholds row))
  (assert (= (cut (list limit) 2 None) [1.0 1.0]))
  (assert (not-in "d" (draw-lines (Chain "abcd" row (* [row] 4) 50) 2000 :seed 0))))

(defn [(pytest.mark.parametrize "count" [0 -1 1.5])] test-no-lines [count]
  (with [_ (refused "--lines")]
    (draw-lines (ab-chain) count :seed 1)))

(defn test-no-such-seed []
  (with [_ (refused "--seed is -1")]
    (draw-lines (ab-chain) 1 :seed -1)))


;;; What a chain must be

(setv GOOD {"chars" "ab"  "start" [0.5 0.5]  "transitions" [[0.5 0.5] [0 1]]  "line_length" 3})

(defn [(pytest.mark.parametrize
         "key, value, words"
         [#("chars" "" "needs characters") #("chars" None "needs characters")
          #("chars" "a\n" "newline") #("chars" "aa" "'a' stands twice")
          #("chars" "a\udc00" "half a character")
          #("start" [1] "1 weights for 2") #("start" [0.5 0.4] "sum to 0.9")
          #("start" [-0.5 1.5] "'a' the weight -0.5") #("start" ["0.5" 0.5] "weight '0.5'")
          #("start" [True False] "weight True") #("start" [(float "nan") 1] "weight nan")
          #("start" 1 "a list of weights")
          #("start" [0.5 0.500000002] "sum to")
          #("transitions" [[0.5 0.5]] "1 rows for 2") #("transitions" "ab" "a list of weights")
          #("transitions" [[0.5 0.5] 1] "the row after 'b'")
          #("transitions" [[0.5 0.5] [0 0]] "the row after 'b' sum to 0")
          #("line_length" 0 "line length is 0") #("line_length" 2.0 "line length is 2.0")
          #("line_length" True "line length is True")])]
    test-no-chain [key value words]
  (with [_ (refused words)]
    (Chain #** {#** GOOD key value})))

(defn test-a-chain-is-a-value []
  (setv chain (Chain #** GOOD))
  (assert (= chain (Chain "ab" (np.array [0.5 0.5]) (np.array [[0.5 0.5] [0 1]]) (np.int64 3))))
  (assert (= (len #{chain (replace chain) (replace chain :line-length 4)}) 2))
  (with [_ (pytest.raises FrozenInstanceError)]
    (setv chain.chars "cd")))

(defn test-no-ab-chain []
  (for [stay [-0.1 1.1 "x"]]
    (with [_ (refused "--stay" "0 to 1")]
      (ab-chain :stay stay)))
  (with [_ (refused "cannot start with 'c'")]
    (ab-chain :start "c")))


;;; Files

(defn [(settings :max-examples 60 :deadline None) (given (chains))]
    test-a-chain-comes-back-from-its-file [tmp-path-factory chain]
  (setv path (/ (.mktemp tmp-path-factory "chain") "c.toml"))
  (write-chain chain path)
  (assert (= (read-chain path) chain)))

(defn test-characters-that-toml-escapes [tmp-path]
  (setv chars "\"\\\t\r\x00\x7f\x85\u2028é猫🐈"
        n     (len chars)
        even  (lfor _ chars (/ 1 n))
        chain (Chain chars even (* [even] n) 7)
        text  (draw-lines chain 400 :seed 1))
  (write-data (/ tmp-path "t.txt") chain 400 :seed 1)
  (assert (= (.read-bytes (/ tmp-path "t.txt")) (.encode text "utf-8")))
  (assert (= (read-chain (/ tmp-path "t.toml")) chain))
  (assert (= (chain-beside (/ tmp-path "t.txt") text) chain)))

(defn test-data-and-its-chain [tmp-path]
  (setv path  (/ tmp-path "x.txt")
        chain (ab-chain :stay 0.7 :length 4))
  (assert (= (write-data (str path) chain 50 :seed 9) #(path (/ tmp-path "x.toml"))))
  (assert (= (.read-text path) (draw-lines chain 50 :seed 9)))
  (assert (= (chain-beside path (.read-text path)) chain))
  (assert (= (sorted (gfor f (.iterdir tmp-path) f.name)) ["x.toml" "x.txt"]))
  (with [_ (refused "x.txt is there already")]
    (write-data path chain 50 :seed 9))
  (.unlink path)
  (with [_ (refused "x.toml is there already")]
    (write-data path chain 50 :seed 9))
  (write-data path (ab-chain) 20 :seed 9 :overwrite True)
  (assert (= (chain-beside path (.read-text path)) (ab-chain))))

(defn test-names-that-cannot-be-written [tmp-path]
  (.write-text (/ tmp-path "file") "x")
  (for [[name words] [["" "is a folder"] ["no/such/x.txt" "does not exist"]
                      ["file/x.txt" "does not exist"] ["x.toml" "ends in .toml"]
                      ["\0.txt" "no file name"] [(+ (* "x" 300) ".txt") "too long"]]]
    (with [_ (refused words)]
      (write-data (/ tmp-path name) (ab-chain) 10 :seed 1)))
  (assert (= (os.listdir tmp-path) ["file"])))

(defn test-a-full-disk-leaves-the-old-file [tmp-path monkeypatch]
  (setv path (/ tmp-path "c.toml"))
  (write-chain (ab-chain) path)
  (defn full [_]
    (raise (OSError markov.errno.ENOSPC "No space left on device")))
  (monkeypatch.setattr markov.os "fsync" full)
  (with [e (pytest.raises WorkError)]
    (write-chain (ab-chain :length 3) path))
  (assert (in "no space left" (str e.value)))
  (assert (= (os.listdir tmp-path) ["c.toml"]))
  (assert (= (read-chain path) (ab-chain))))

(setv AB "chars = \"ab\"\nstart = [1, 0]\ntransitions = [[0.5, 0.5], [0, 1]]\n")

(defn [(pytest.mark.parametrize
         "content, words"
         [#(b"\xff\xfe" "no TOML file") #(b"chars = " "no TOML file") #(b"" "lacks chars, start")
          #((+ b"a = " (* b"[" 100,000)) "no TOML file") #((.encode AB) "lacks line_length")
          #((.encode (+ AB "line_length = 0")) "line length is 0")
          #((.encode (+ AB "line_length = \"8\"")) "line length is '8'")])]
    test-files-that-are-no-chain [tmp-path content words]
  (setv path (/ tmp-path "x.toml"))
  (.write-bytes path content)
  (with [_ (refused "x.toml" words)]
    (read-chain path))
  (assert (is (chain-beside (/ tmp-path "x.txt") (* "aaaaaaaa\n" 20)) None)))

(defn test-no-chain-file [tmp-path]
  (with [_ (refused "is not a file")]
    (read-chain (/ tmp-path "x.toml")))
  (with [_ (refused "is not a file")]
    (read-chain tmp-path))
  (for [name ["x.txt" "" ".."]]
    (assert (is (chain-beside (/ tmp-path name) "ab\n") None)))
  (assert (is (chain-beside "" "ab\n") None)))

(defn test-only-a-possible-text-has-the-chain [tmp-path]
  (setv path (/ tmp-path "x.txt"))
  (.write-text (/ tmp-path "x.toml") (+ AB "line_length = 3\n"))
  (setv wanted (read-chain (/ tmp-path "x.toml")))
  (for [text ["aab\n" "aaa\nabb\n" (* "abb\n" 300,000)]]
    (assert (= (chain-beside path text) wanted)))
  (for [text ["" "\n" "aab" "aab\nabb" "aab\nab\n" "aab\n\nab\n" "aabb\n" "aab\r\n" "aba\n"
              "bbb\n" "aab\nbbb\n" "aac\n" "caa\n" "aa\udc00\n" (+ (* "abb\n" 300,000) "aba\n")]]
    (assert (is (chain-beside path text) None))))

(defn test-lines-of-one-length []
  (for [[text wanted] [[(* "ab\n" 10) 2] [(* "ab\n" 9) None] [(+ (* "ab\n" 10) "ab") None]
                       [(+ (* "ab\n" 10) "a\n") None] [(* "\n" 20) None] ["" None]
                       [(+ (* "ab\n" 10) "\nabcd\n") None] [(* "abc" 10) None]
                       [(* "é猫\r\n" 12) 3] [(+ "ab\n" (* "abc\n" 20)) None]
                       [(+ (* "ab\n" 10) "abab\n\n" ) None]]]
    (assert (= (line-length text) wanted))))


;;; data/

(defn test-the-data-come-out-byte-for-byte [tmp-path]
  (write-data (/ tmp-path "ab.txt") (ab-chain) 10,000 :seed 1337)
  (for [name ["ab.txt" "ab.toml"]]
    (assert (= (.read-bytes (/ tmp-path name)) (.read-bytes (/ DATA name)))))
  (setv text (.read-text (/ DATA "ab.txt")))
  (assert (= (line-length text) 8))
  (assert (= (chain-beside (/ DATA "ab.txt") text) (ab-chain))))

(defn test-the-readme-quotes-the-floors []
  (setv readme (.read-text (/ DATA "README.md") :encoding "utf-8")
        rows   (re.findall r"(?m)^\| (\d) \| ([\d.]+) \|$" readme)
        chain  (ab-chain))
  (assert (= rows (lfor [k f] (enumerate (floors-by-context chain)) #((str k) f"{f :.6f}"))))
  (assert (in f"{(floor chain) :.6f}" readme))
  (assert (in "nanogpt-hy data ab --out data/ab.txt" readme)))

(defn test-neither-torch-nor-hyrule-is-loaded []
  (setv code (+ "import hy, sys, nanogpt_hy.lab.markov; "
                "print([m for m in ('torch', 'hyrule') if m in sys.modules])")
        ;; The first run may have to compile, which loads hyrule; the second does not.
        outs (lfor _ (range 2) (. (subprocess.run [sys.executable "-c" code] :capture-output True
                                                  :text True :check True
                                                  :env (| (dict os.environ)
                                                          {"PYTHONDONTWRITEBYTECODE" ""}))
                                  stdout)))
  (assert (= (get outs -1) "[]\n")))


;;; The counting model

(defn counted [train ids V order smoothing]
  "The same loss in plain loops."
  (setv known (lfor i (range (- (len train) order)) (tuple (cut train i (+ i order 1))))
        runs  (lfor i (range (- (len ids) order)) (tuple (cut ids i (+ i order 1)))))
  (/ (sum (gfor run runs
                :setv context (lfor r known :if (= (cut r -1) (cut run -1)) r)
                (log (/ (+ (len context) (* smoothing V)) (+ (.count known run) smoothing)))))
     (len runs)))

(defn [(settings :max-examples 60 :deadline None)
       (given (st.lists (st.integers 0 3) :min-size 4 :max-size 30)
              (st.lists (st.integers 0 3) :min-size 4 :max-size 30)
              (st.integers 0 3) (st.sampled-from [0.01 0.1 1 2.5]))]
    test-counting-is-what-plain-loops-give [train ids order smoothing]
  (assert (near (count-loss train ids 4 order :smoothing smoothing)
                (counted train ids 4 order smoothing))))

(defn test-counting-without-smoothing []
  (assert (near (count-loss [0 1 0 1 0] [0 1 0 1] 2 1 :smoothing 0) 0))
  (assert (near (count-loss [0 0 1] [0 0 1] 2 1 :smoothing 0) (log 2)))
  (assert (isinf (count-loss [0 0 0] [0 1] 2 1 :smoothing 0)))        ; a token never seen there
  (assert (isinf (count-loss [0 0 0] [1 0] 2 1 :smoothing 0)))        ; a context never seen
  (assert (near (count-loss [0 0 0] [1 0] 2 1) (log 2))))             ; smoothed, it knows nothing

(defn test-counting-what-cannot-be-counted []
  (for [[args words] [[[[0 1] [0 1 0] 2 2] "2 tokens are too few"]
                      [[[0 1 0] [0] 2 1] "1 tokens are too few"]
                      [[[] [] 2 0] "0 tokens are too few"]
                      [[[0 2] [0 1] 2 1] "from 0 to 2"] [[[0 1] [-1 1] 2 1] "from -1 to 1"]
                      [[[0 1] [0 1] 2 -1] "order -1"] [[[0 1] [0 1] 65 12] "63 bits"]]]
    (with [_ (refused words)]
      (count-loss #* args)))
  (with [_ (refused "below 0")]
    (count-loss [0 1] [0 1] 2 1 :smoothing -0.1)))

(defn test-counting-tiny-shakespeare [shakespeare]
  "NUMBERS.md, Tiny Shakespeare: train MLE, and validation with add-0.1 smoothing."
  (setv ids   (ids-of (.decode (.read-bytes (Path shakespeare)) "utf-8"))
        n     (int (* 0.9 (len ids)))
        train (cut ids n)
        valid (cut ids n None))
  (for [[order mle smoothed] [[0 3.3091 3.3473] [1 2.4519 2.4838] [2 1.9032 2.0458]
                              [3 1.4906 1.7840]]]
    (assert (near (count-loss train train 65 order :smoothing 0) mle 0.0001))
    (assert (near (count-loss train valid 65 order) smoothed 0.0001))))
