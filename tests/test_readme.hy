"The README: its commands are commands, its code runs, its excerpts are what the files say."

(import  ast
         re
         shlex
         shutil
         pytest
         hy
         nanogpt-hy.cli [app]
         nanogpt-hy.lab.lisp.twin [python-of source-of]
         nanogpt-hy.ladder :as ladder)

(defn blocks [root language]
  "The code blocks of the README in LANGUAGE."
  (setv text (.read-text (/ root "README.md") :encoding "utf-8"))
  (lfor  [kind block] (re.findall r"(?ms)^```(\w*)\n(.*?)^```" text)  :if (= kind language)  block))

(defn commands [root]
  "The command lines in the README's blocks, without comments."
  (lfor  block (blocks root "")
         line (.splitlines (re.sub r"\\\n *" "" block))
         :setv line (re.sub r"^(srun )?torchrun .* -m nanogpt_hy " "nanogpt-hy " line)
         :if (re.match r"(\$ )?nanogpt-hy " line)
         (shlex.split (.removeprefix line "$ ") :comments True)))

(defn test-every-command-is-one [root]
  (setv found (commands root))
  (assert (>= (len found) 6))
  (for [[_ #* arguments] found]
    (setv arguments (lfor  a arguments  :if (!= a "--ckpt")  a))
    (app.parse-args arguments :exit-on-error False :print-error False)))

(defn test-every-command-has-its-paragraph [root]
  (setv text (.read-text (/ root "README.md") :encoding "utf-8"))
  (for [name app  :if (not (.startswith name "-"))]
    (assert (in f"nanogpt-hy {name}" text))))

;; The excerpt on the first screen leaves out docstrings and one default, written as an ellipsis.

(defn as-hy [text]
  "The definitions in TEXT, without docstrings, read."
  (lfor  form (hy.read-many (.replace text "(fn [weights] weights)" "…"))
         (hy.repr (lfor  part form  :if (not (isinstance part hy.models.String))  part))))

(defn as-python [text]
  "The definitions in TEXT, without docstrings, parsed."
  (setv text (re.sub r"(?s)\"\"\".*?\"\"\"" "" text))
  (ast.dump (ast.parse (re.sub "lambda weights: weights|…" "None" text))))

(defn [(pytest.mark.parametrize #("language" "source" "read")
         [#("hy" source-of as-hy)  #("python" python-of as-python)])]
    test-the-excerpt-is-the-courses [root language source read]
  (setv shown (get (blocks root language) 0)
        whole (.join "\n" (map source ["attention-weights" "attend"])))
  (assert (= (read shown) (read whole))))

(defn test-the-tree-names-every-step-and-every-file-beside-the-course [root]
  (setv text   (.read-text (/ root "README.md") :encoding "utf-8")
        source (/ root "src" "nanogpt_hy"))
  (for [path [#* (.glob (/ source "course") "s*.hy") #* (.glob source "[a-z]*.hy")]]
    (assert (re.search rf"(?m)^  .*\b{path.name}\b" text) path)))

(defn anchors [text]
  "What a link into the Markdown TEXT may name after its #, as GitHub makes it of the headings."
  (lfor  words (re.findall r"(?m)^#+ (.*)$" text)
         (.replace (re.sub r"[^\w -]" "" (.lower words)) " " "-")))

(defn test-links-lead-somewhere [root]
  (setv pages (lfor  folder ["" "data" "scripts/benchmark" "src/nanogpt_hy/lab/training"]
                     (/ root folder "README.md"))
        links (lfor  page pages
                     link (re.findall r"\]\(([^)\s]+)\)" (.read-text page :encoding "utf-8"))
                     :if (not (.startswith link "https://"))
                     #(page link)))
  (assert (> (len links) 20))
  (for [[page link] links]
    (setv [path _ anchor] (.partition link "#")
          target (if path (/ page.parent path) page))
    (assert (.exists target) f"{page}: {link}")
    (when anchor
      (assert (in anchor (anchors (.read-text target :encoding "utf-8"))) f"{page}: {link}"))))

(defn test-the-code-runs [root tmp-path monkeypatch]
  (shutil.copytree (/ root "data") (/ tmp-path "data"))
  (monkeypatch.chdir tmp-path)
  (monkeypatch.setattr ladder "STAGES" {#** ladder.STAGES})     ; one is added
  (setv [_ #* those-that-run] (blocks root "hy")
        names {"__name__" "readme"})
  (assert (= 3 (len those-that-run)))
  (for [block those-that-run]
    (hy.eval (hy.read-many (.replace block "500" "5")) names)))
