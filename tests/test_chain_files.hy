"Chains in files: they come back, strangers' are checked, and a text finds its own."

(import  errno
         math [log]
         os
         pathlib [Path]
         resource
         pytest
         hypothesis [given settings]
         chains [chains refused]
         nanogpt-hy.errors [WorkError]
         nanogpt-hy.lab.data.chain-files [chain-beside line-length read-chain text-loss write-chain
                                          write-data]
         nanogpt-hy.lab.data.chain-files :as chain-files
         nanogpt-hy.lab.data.markov [ab-chain Chain draw-lines floor])

(setv DATA (/ (. (Path __file__) parent parent) "data"))


;;; Files

(defn [(settings :max-examples 60 :deadline None) (given (chains))]
    test-a-chain-comes-back-from-its-file [tmp-path-factory chain]
  (setv path (/ (.mktemp tmp-path-factory "chain") "c.toml"))
  (write-chain chain path)
  (assert (= (read-chain path) chain)))

(defn test-characters-that-toml-escapes [tmp-path]
  (setv chars "\"\\\t\r\x00\x7f\x85\u2028é猫🐈"
        n     (len chars)
        even  (lfor  _ chars  (/ 1 n))
        chain (Chain chars even (* [even] n) 7)
        text  (draw-lines chain 400 :seed 1))
  (write-data (/ tmp-path "t.txt") chain 400 :seed 1)
  (assert (= (.read-bytes (/ tmp-path "t.txt")) (.encode text "utf-8")))
  (assert (= (read-chain (/ tmp-path "t.toml")) chain))
  (assert (= (chain-beside (/ tmp-path "t.txt") [text]) chain)))

(defn test-data-and-its-chain [tmp-path]
  (setv path  (/ tmp-path "x.txt")
        chain (ab-chain :stay 0.7 :length 4))
  (assert (= (write-data (str path) chain 50 :seed 9) #(path (/ tmp-path "x.toml"))))
  (assert (= (.read-text path) (draw-lines chain 50 :seed 9)))
  (assert (= (chain-beside path [(.read-text path)]) chain))
  (assert (= (sorted (gfor  f (.iterdir tmp-path)  f.name)) ["x.toml" "x.txt"]))
  (with [_ (refused "x.txt is there already")]
    (write-data path chain 50 :seed 9))
  (.unlink path)
  (with [_ (refused "x.toml is there already")]
    (write-data path chain 50 :seed 9))
  (write-data path (ab-chain) 20 :seed 9 :overwrite True)
  (assert (= (chain-beside path [(.read-text path)]) (ab-chain))))

(defn test-names-that-cannot-be-written [tmp-path]
  (.write-text (/ tmp-path "file") "x")
  (for [[name words] [["" "is a folder"] ["no/such/x.txt" "does not exist"]
                      ["file/x.txt" "does not exist"] ["x.toml" "ends in .toml"]
                      ["x.TOML" "ends in .toml"]
                      ["\0.txt" "cannot be there"] [(+ (* "x" 300) ".txt") "too long"]]]
    (with [_ (refused words)]
      (write-data (/ tmp-path name) (ab-chain) 10 :seed 1)))
  (assert (= (os.listdir tmp-path) ["file"])))

(defn test-a-full-disk-leaves-the-old-file [tmp-path monkeypatch]
  (setv path (/ tmp-path "c.toml"))
  (write-chain (ab-chain) path)
  (defn full [_]
    (raise (OSError errno.ENOSPC "No space left on device")))
  (monkeypatch.setattr os "fsync" full)
  (with [e (pytest.raises WorkError)]
    (write-chain (ab-chain :length 3) path))
  (assert (in "No space left" (str e.value)))
  (assert (= (os.listdir tmp-path) ["c.toml"]))
  (assert (= (read-chain path) (ab-chain))))

(defn [(pytest.mark.parametrize #("limit" "lines") [#(10,000 5000) #(500 100)])]
    test-a-disk-too-full-for-new-data-leaves-text-and-chain [tmp-path limit lines]
  "Also when all of it waits in a buffer until the file is closed."
  (setv path   (/ tmp-path "x.txt")
        limits (resource.getrlimit resource.RLIMIT-FSIZE))
  (write-data path (ab-chain) 10 :seed 9)
  (setv old (.read-text path))
  (resource.setrlimit resource.RLIMIT-FSIZE #(limit (get limits 1)))
  (try
    (with [_ (pytest.raises WorkError)]
      (write-data path (ab-chain) lines :seed 9 :overwrite True))
    (finally (resource.setrlimit resource.RLIMIT-FSIZE limits)))
  (assert (= old (.read-text path)))
  (assert (= (chain-beside path [old]) (ab-chain))))

(setv AB "chars = \"ab\"\nstart = [1, 0]\ntransitions = [[0.5, 0.5], [0, 1]]\n")

(defn [(pytest.mark.parametrize
         "content, words"
         [#(b"\xff\xfe" "no TOML file") #(b"chars = " "no TOML file") #(b"" "lacks chars, start")
          #((+ b"a = " (* b"[" 100,000)) "no TOML file") #((.encode AB) "lacks line_length")
          #((.encode (+ AB "line_length = 0")) "line length is 0")
          #((.encode (+ AB "line_length = \"8\"")) "line length is '8'")
          #((.encode (+ AB "line_length = 1_000_000_000")) "use at most 500000")
          #((+ (.encode AB) b"line_length = 0x1" (* b"0" 10,000)) "thousands of digits")
          #((+ b"#" (* b"x" 20,000,000)) "more than 20,000,000 bytes")])]
    test-files-that-are-no-chain [tmp-path content words]
  (setv path (/ tmp-path "x.toml"))
  (.write-bytes path content)
  (with [_ (refused "x.toml" words)]
    (read-chain path))
  (assert (is (chain-beside (/ tmp-path "x.txt") [(* "aaaaaaaa\n" 20)]) None)))

(defn test-no-chain-file [tmp-path]
  (with [_ (refused "there is no file" "x.toml")]
    (read-chain (/ tmp-path "x.toml")))
  (with [_ (refused "is a folder")]
    (read-chain tmp-path))
  (for [name ["x.txt" "" ".."]]
    (assert (is (chain-beside (/ tmp-path name) ["ab\n"]) None)))
  (os.mkfifo (/ tmp-path "pipe.toml"))                 ; would be waited for, if it were opened
  (assert (is (chain-beside (/ tmp-path "pipe.txt") ["ab\n"]) None))
  (assert (is (chain-beside "" ["ab\n"]) None)))

(defn test-only-a-possible-text-has-the-chain [tmp-path]
  (setv path (/ tmp-path "x.txt"))
  (.write-text (/ tmp-path "x.toml") (+ AB "line_length = 3\n"))
  (setv wanted (read-chain (/ tmp-path "x.toml")))
  (for [text ["aab\n" "aaa\nabb\n" (* "abb\n" 300,000)]]
    (assert (= (chain-beside path [text]) wanted)))
  (for [text ["" "\n" "aab" "aab\nabb" "aab\nab\n" "aab\n\nab\n" "aabb\n" "aab\r\n" "aba\n"
              "bbb\n" "aab\nbbb\n" "aac\n" "caa\n" "aa\udc00\n" (+ (* "abb\n" 300,000) "aba\n")]]
    (assert (is (chain-beside path [text]) None))))

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
  (assert (= (chain-beside (/ DATA "ab.txt") [text]) (ab-chain))))


(defn test-the-chains-own-loss-on-a-text []
  "Two lines counted by hand, and a long text, whose loss comes near the floor."
  (setv chain (ab-chain :length 3))
  ;; start 1/2, then a->a, a->b; start 1/2, then b->b, b->b, which are certain: four tokens a line
  (assert (= (text-loss chain "aab\nbbb\n") (pytest.approx (/ (* 4 (log 2)) 8))))
  (setv [measured expected] [(text-loss chain (draw-lines chain 50,000 :seed 1)) (floor chain)])
  (assert (= measured (pytest.approx expected :rel 0.01))))

(defn test-a-text-is-never-beside-the-chain-of-another [tmp-path monkeypatch]
  "Also when it ends between the text and its chain."
  (setv path (/ tmp-path "x.txt"))
  (write-data path (ab-chain :stay 0.3) 20 :seed 1)
  (defn ended [#* _]
    (raise (KeyboardInterrupt)))
  (monkeypatch.setattr chain-files "write_atomic" ended)
  (with [_ (pytest.raises KeyboardInterrupt)]
    (write-data path (ab-chain :stay 0.7) 20 :seed 2 :overwrite True))
  (assert (is (chain-beside path [(.read-text path)]) None)))
